// A process that writes to a durable buffer from many writers at once until it is killed (test/fault/outbox-crash.test.ts).
// Says on standard output what it was promised (`ack`) and what it handed to the other side (`send`), each before it goes on.
// With the argument `drain` it writes nothing and ends once everything is delivered; with `hold` it only holds the buffer; with
// `leave` nobody can be reached, and it has nothing more to do after one record.
import { writeSync } from 'node:fs';
import { Fault } from '#libs/kernel/fault.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { gapRecordOf, recordOf } from './outbox-peer.ts';

const [dir = '', mode = 'write'] = process.argv.slice(2);
const WRITERS = 8;

const say = (line: string): void => void writeSync(1, `${line}\n`);

const outbox = openOutbox({
  dir,
  name: 'crashing',
  clock: systemClock,
  ids: systemIds,
  batch: { rows: 5, bytes: 100_000 },
  gapRecord: gapRecordOf,
  storeLetter: async () => undefined,
  onFatal: (error) => {
    throw error;
  },
  sender: {
    send: async (batch) => {
      if (mode === 'leave') return batch.map(() => ({ kind: 'unreachable', message: 'nobody is there' }));
      for (const { sourceSeq, id, lane } of batch) say(`send ${sourceSeq} ${id} ${lane}`);
      return batch.map(() => ({ kind: 'delivered', duplicate: false }));
    },
  },
});
say('open');

const write = async (lane: string): Promise<void> => {
  for (;;) {
    const { sourceSeq, id } = await outbox.enqueue(recordOf('x'.repeat(200), { lane }));
    say(`ack ${sourceSeq} ${id}`);
  }
};

if (mode === 'write') await Promise.all(Array.from({ length: WRITERS }, (_, at) => write(`lane-${at}`)));
if (mode === 'leave') await outbox.enqueue(recordOf('left'));
if (mode === 'hold') process.stdin.resume();
if (mode === 'drain') {
  const { undelivered } = await outbox.close({ drainMs: 20_000 });
  if (undelivered > 0)
    throw new Fault({ code: 'TEST_UNDRAINED', retry: 'never', message: `${undelivered} left` });
}
