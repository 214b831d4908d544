// The runner's buffer with a real broker behind it. One report at a time through an empty queue, from the call of `enqueue` until the
// log has it, against a bare commit to SQLite and a bare request one after the other. And a full buffer that drains, against the same
// entries sent as bare atomic batches, as many in each.
import { rmSync } from 'node:fs';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import { ESSENTIAL, type NewRecord, type Outbox, type Sender } from '#libs/outbox/outbox.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { createReportSender } from '#services/runner/report-sender.ts';
import { scratchDir } from '#test/support/broker.ts';
import { bareAppend, bareBatch } from './bare-publish.ts';
import { openBareBuffer } from './bare-buffer.ts';
import { openBenchWorld, type Bench, type BenchWorld } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { interleave, interleaveOperations, rate } from './measure.ts';
import { sampleReport, sampleReports } from './sample-entries.ts';

const ONE: Target = { of: 'ratio', is: '<=', limit: 1.5 };
const MANY: Target = { of: 'ratio', is: '>=', limit: 0.85 };
const COUNT = 10_000;
/** What travels together by default. */
const BATCH = 500;
const WARM_UP = 100;
const SINGLES_PER_ROUND = 60;

const recordOf = ({ subject, id, headers, body }: NewEntry): NewRecord => ({
  subject,
  id,
  headers,
  body,
  lane: 'ses_1',
  kind: 'text',
  worth: 7,
});

/** The headers that the sender adds, in the bare entries as well: both sides send the same bytes. */
const numbered = (entry: NewEntry, buffer: string): NewEntry => ({
  ...entry,
  headers: { ...entry.headers, 'Fleet-Source-Buffer': buffer },
});

const openBuffer = (dir: string, sender: (bufferId: () => string) => Sender): Outbox => {
  const outbox: Outbox = openOutbox({
    dir,
    name: 'bench',
    sender: sender(() => outbox.bufferId),
    clock: systemClock,
    ids: systemIds,
    gapRecord: () => ({ ...recordOf(sampleReport({ sourceSeq: 1 })), kind: 'gap', worth: ESSENTIAL }),
    storeLetter: () => Promise.reject(new Error('nothing is refused')),
    onFatal: (error) => {
      throw error;
    },
  });
  return outbox;
};

/** A sender to the log that can be held back, so that a buffer fills. */
const gatedSender = (world: BenchWorld, subject: string) => {
  let gate: Promise<void> = Promise.resolve();
  let open: () => void = () => undefined;
  return {
    hold: (): void => {
      gate = new Promise((resolve) => (open = resolve));
    },
    release: (): void => open(),
    sender: (bufferId: () => string): Sender => {
      const blobs = { put: () => Promise.reject(new Error('no body is large')), get: async () => undefined };
      const inner = createReportSender({ log: world.log('EVENTS'), blobs, subjects: [subject], bufferId });
      return {
        lastStored: () => inner.lastStored?.() ?? Promise.resolve([]),
        send: async (batch, signal) => {
          await gate;
          return inner.send(batch, signal);
        },
      };
    },
  };
};

export const drainBench: Bench = {
  name: 'drain',
  run: async ({ profile, rounds, emit }) => {
    await using world = await openBenchWorld(profile);
    const dir = scratchDir('bench-drain');
    const { subject } = sampleReport({ sourceSeq: 1 });
    const gated = gatedSender(world, subject);
    const outbox = openBuffer(dir, gated.sender);
    const bare = openBareBuffer(dir);
    const buffer = outbox.bufferId;
    const named = { bench: 'drain', profile } as const;
    const singles = await interleaveOperations(rounds * SINGLES_PER_ROUND, WARM_UP, {
      ours: async (n) => {
        const { sourceSeq } = await outbox.enqueue(recordOf(sampleReport({ sourceSeq: n + 1 })));
        await outbox.settled(sourceSeq);
      },
      floor: async (n) => {
        const entry = numbered(sampleReport({ sourceSeq: n + 1 }), buffer);
        bare.insert(bare.rowOf(recordOf(entry)));
        await bareAppend(world.bare, entry);
      },
    });
    emit(
      fromPairs({ ...named, figure: 'enqueue to in the log, empty queue', unit: 'ms', target: ONE }, singles),
    );
    const many = await interleave(
      rounds,
      async () => {
        gated.hold();
        const all = sampleReports(COUNT).map(recordOf);
        await Promise.all(all.map((record) => outbox.enqueue(record)));
        return rate(COUNT, async () => {
          gated.release();
          await outbox.drained();
        });
      },
      async () => {
        const all = sampleReports(COUNT).map((entry) => numbered(entry, buffer));
        return rate(COUNT, async () => {
          for (let at = 0; at < COUNT; at += BATCH) await bareBatch(world.bare, all.slice(at, at + BATCH));
        });
      },
    );
    const figure = `drain of ${COUNT}, ${BATCH} a batch`;
    emit(fromPairs({ ...named, figure, unit: 'entries/s', target: MANY }, many));
    await outbox.close({ drainMs: 0 });
    bare.database.close();
    rmSync(dir, { recursive: true, force: true });
  },
};
