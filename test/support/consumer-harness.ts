// A consumer on the memory broker under a manual clock: what the tests of the one loop have in common.
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import type { ConsumerEvent } from '#libs/consumers/consumer-event.ts';
import { ok } from '#libs/consumers/disposition.ts';
import type { ConsumerOptions, RunningConsumer } from '#libs/consumers/consumer-options.ts';
import { runConsumer } from '#libs/consumers/run-consumer.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { type DeadLetter, readDeadLetter } from './read-letter.ts';
import { bytes, textOf } from './tally.ts';

/** Ack wait of the consumer. */
export const ACK_WAIT_MS = 3000;
const running: RunningConsumer[] = [];

/** Ends every consumer that was started; for afterEach. */
export const stopConsumers = async (): Promise<void> => {
  await Promise.all(running.splice(0).map((consumer) => consumer.stop(0)));
};

/** A stream `WORK` of one-line messages, its consumer `worker`, and a log of dead letters. The lane is the subject. */
export const consumerHarness = (
  shape: { readonly maxAckPending?: number; readonly priorityGroup?: string } = {},
) => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const broker = createMemoryBroker({
    clock,
    ids,
    topology: {
      streams: [
        { name: 'WORK', subjects: ['work.>'] },
        { name: 'DEAD', subjects: ['dead.>'] },
      ],
      consumers: [{ name: 'worker', stream: 'WORK', ackWaitMs: ACK_WAIT_MS, ...shape }],
    },
  });
  const log = broker.eventLog('WORK');
  const dead = broker.eventLog('DEAD');
  const handled: string[] = [];
  const events: ConsumerEvent[] = [];
  const fatal: unknown[] = [];
  let sent = 0;

  const send = async (lane: string, text: string): Promise<void> => {
    sent += 1;
    await log.append({
      subject: `work.${lane}`,
      id: `m${sent}`,
      headers: { kind: 'test' },
      body: bytes(text),
    });
  };
  const start = (options: Partial<ConsumerOptions<string>> = {}): RunningConsumer => {
    const consumer = runConsumer<string>({
      name: 'worker',
      service: 'tests',
      queue: broker.workQueue('WORK', 'worker'),
      decode: (entry) => textOf(entry.body),
      lane: (_message, entry) => entry.subject,
      handle: (message) => {
        handled.push(message);
        return Promise.resolve(ok);
      },
      deadLetters: createDeadLetters({
        log: dead,
        build: ({ service, reason }, id) => ({
          subject: `dead.${service}.${reason}`,
          headers: { 'ce-id': id },
        }),
      }),
      clock,
      ids,
      observe: (event) => events.push(event),
      onFatal: (error) => fatal.push(error),
      ...options,
      limits: {
        ackWaitMs: ACK_WAIT_MS,
        maxAttempts: 3,
        backoff: { baseMs: 100, maxMs: 1000 },
        ...options.limits,
      },
    });
    running.push(consumer);
    return consumer;
  };
  const letters = async () => {
    const found: { subject: string; entry: StoredEntry; letter: DeadLetter | undefined }[] = [];
    for await (const entry of dead.replay())
      found.push({ subject: entry.subject, entry, letter: readDeadLetter(entry) });
    return found;
  };
  const backlog = () => broker.workQueue('WORK', 'worker').backlog();
  const kinds = () => events.map(({ kind }) => kind);
  return { clock, broker, send, start, letters, backlog, handled, events, kinds, fatal };
};

/** What a handler throws while something it needs is away. */
export const unavailable = new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'away' });
