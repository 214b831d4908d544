// Reading a stream from its start to its end: `EventLog.replay` against the client's ordered consumer.
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { EventLog } from '#libs/ports/event-log.ts';
import { openBenchWorld, type Bench } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { interleave, rate } from './measure.ts';
import { sampleReports } from './sample-entries.ts';

const TARGET: Target = { of: 'ratio', is: '>=', limit: 0.8 };
const COUNT = 50_000;
const BATCH = 1000;
/** As many as ours asks for at once. */
const MAX_MESSAGES = 1000;

interface Looks {
  /** Looks at one header of each entry, too. */
  readonly atHeaders: boolean;
}

const assertAll = (seen: number, bytes: number): void => {
  if (seen !== COUNT || bytes < COUNT) throw new Error(`${seen} of ${COUNT} entries, ${bytes} bytes`);
};

const replayAll = async (log: EventLog, { atHeaders }: Looks): Promise<void> => {
  let seen = 0;
  let bytes = 0;
  for await (const entry of log.replay()) {
    seen += 1;
    bytes += entry.body.length + entry.subject.length + (entry.seq > 0 ? 1 : 0);
    if (atHeaders) bytes += entry.headers['ce-type']?.length ?? 0;
  }
  assertAll(seen, bytes);
};

const consumeAll = async (nc: NatsConnection, { atHeaders }: Looks): Promise<void> => {
  let seen = 0;
  let bytes = 0;
  const consumer = await jetstream(nc).consumers.get('EVENTS');
  const messages = await consumer.consume({ max_messages: MAX_MESSAGES });
  for await (const message of messages) {
    seen += 1;
    bytes += message.data.length + message.subject.length + (message.seq > 0 ? 1 : 0);
    if (atHeaders) bytes += message.headers?.get('ce-type').length ?? 0;
    if (message.info.pending === 0) break;
  }
  await messages.close();
  await consumer.delete();
  assertAll(seen, bytes);
};

export const replayBench: Bench = {
  name: 'replay',
  run: async ({ profile, rounds, emit }) => {
    await using world = await openBenchWorld(profile);
    const log = world.log('EVENTS');
    const entries = sampleReports(COUNT);
    for (let at = 0; at < COUNT; at += BATCH) await log.appendTogether(entries.slice(at, at + BATCH));
    for (const looks of [{ atHeaders: false }, { atHeaders: true }]) {
      const pairs = await interleave(
        rounds,
        () => rate(COUNT, () => replayAll(log, looks)),
        () => rate(COUNT, () => consumeAll(world.bare, looks)),
      );
      const figure = looks.atHeaders ? 'whole stream, one header read' : 'whole stream';
      emit(fromPairs({ bench: 'replay', figure, unit: 'entries/s', target: TARGET, profile }, pairs));
    }
  },
};
