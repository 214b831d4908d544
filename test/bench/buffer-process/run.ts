// A process of its own for test/bench/outbox.ts: `fill <dir> <count>` buffers records that nobody fetches, `drain <dir> <count>` opens
// that buffer and delivers everything to a sender that only checks numbers. Says what it measured as one line of JSON.
import { ESSENTIAL, type BufferedRecord, type NewRecord, type Sender } from '#libs/outbox/outbox.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';

const [step, dir = '', countText] = process.argv.slice(2);
const count = Number(countText);
const GROUP = 1000;
const LANES = 16;
const MB = 2 ** 20;
const HEADERS = { 'ce-type': 'fleetlog.text.v1', 'ce-source': '/runner/bench', filler: 'x'.repeat(120) };

const residentMb = (): number => process.memoryUsage.rss() / MB;

const recordOf = (at: number): NewRecord => ({
  lane: `ses_${at % LANES}`,
  kind: 'text',
  worth: 7,
  subject: 'fleet.acme.web.evt.3.builder-1.text',
  headers: HEADERS,
  body: Buffer.from(`{"text":"${at} the heron stands in the reeds and waits"}`),
});

const open = (sender: Sender) =>
  openOutbox({
    dir,
    name: 'bench',
    sender,
    clock: systemClock,
    ids: systemIds,
    budget: { rows: 10 * count, bytes: 2 ** 40 },
    gapRecord: () => ({ ...recordOf(0), kind: 'gap', worth: ESSENTIAL }),
    storeLetter: () => Promise.resolve(),
    onFatal: (error) => {
      throw error;
    },
  });

const fill = async (): Promise<object> => {
  const outbox = open({ send: () => new Promise(() => undefined) });
  let peakMb = 0;
  for (let at = 0; at < count; at += GROUP) {
    await Promise.all(Array.from({ length: GROUP }, (_, n) => outbox.enqueue(recordOf(at + n))));
    peakMb = Math.max(peakMb, residentMb());
  }
  await outbox.close({ drainMs: 0 });
  return { peakMb };
};

const drain = async (): Promise<object> => {
  let peakMb = 0;
  let next = 1;
  const send = (batch: readonly BufferedRecord[]) => {
    for (const { sourceSeq } of batch) {
      if (sourceSeq !== next) throw new Error(`expected ${next}, got ${sourceSeq}`);
      next += 1;
    }
    peakMb = Math.max(peakMb, residentMb());
    return Promise.resolve(batch.map(() => ({ kind: 'delivered', duplicate: false }) as const));
  };
  const startedAt = performance.now();
  const outbox = open({ send });
  const startMs = performance.now() - startedAt;
  const startMb = residentMb();
  await outbox.drained();
  const perSecond = (count * 1000) / (performance.now() - startedAt);
  await outbox.close();
  if (next !== count + 1) throw new Error(`${next - 1} of ${count} arrived`);
  return { startMs, startMb, peakMb, perSecond };
};

process.stdout.write(`${JSON.stringify(await (step === 'fill' ? fill() : drain()))}\n`);
