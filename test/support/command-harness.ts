// The counter aggregate on the memory broker under a manual clock: what the tests of commands have in common.
import type { CommandHandler, CommandHandlerOptions } from '#libs/commands/command-handler.ts';
import { createCommandHandler } from '#libs/commands/handle-command.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import {
  type Counter,
  type CounterCommand,
  counterDecider,
  type CounterEvent,
  jsonBytes,
  jsonOf,
} from './tally.ts';

type Codes = 'COUNTER_CLOSED' | 'COUNTER_FULL';
export type CounterHandler = CommandHandler<string, CounterCommand, CounterEvent, Counter, Codes>;
type Options = CommandHandlerOptions<string, CounterCommand, CounterEvent, Counter, Codes>;

/** Calls of a log by method: what a test claims of the hot path. */
interface Calls {
  append: number;
  read: number;
  last: number;
}

const counting = (log: EventLog, calls: Calls): EventLog => ({
  ...log,
  append: (entry) => {
    calls.append += 1;
    return log.append(entry);
  },
  read: (subject, fromSeq) => {
    calls.read += 1;
    return log.read(subject, fromSeq);
  },
  last: (subject) => {
    calls.last += 1;
    return log.last(subject);
  },
});

/** A stream `COUNTERS` and as many handlers (processes) on it as a test wants. */
export const commandHarness = (seed = 1) => {
  const clock = createManualClock(1_000_000);
  const ids = createSeededIds(seed, clock);
  const broker = createMemoryBroker({
    clock,
    ids,
    topology: { streams: [{ name: 'COUNTERS', subjects: ['counter.>'] }] },
  });
  const log = broker.eventLog('COUNTERS');
  const calls: Calls = { append: 0, read: 0, last: 0 };
  const handler = (options: Partial<Options> = {}): CounterHandler =>
    createCommandHandler<string, CounterCommand, CounterEvent, Counter, Codes>({
      log: counting(log, calls),
      decider: counterDecider,
      subjectOf: (name) => `counter.${name}`,
      encode: (event, { id, commandId }) => ({
        headers: { 'ce-id': id, command: commandId },
        body: jsonBytes(event),
      }),
      decodeEntry: (entry) => jsonOf(entry.body) as CounterEvent,
      clock,
      ids,
      ...options,
    });
  const history = async (name: string): Promise<CounterEvent[]> => {
    const events: CounterEvent[] = [];
    for await (const entry of log.read(`counter.${name}`)) events.push(jsonOf(entry.body) as CounterEvent);
    return events;
  };
  return { clock, ids, broker, log, calls, handler, history };
};

export const add = (by: number): CounterCommand => ({ kind: 'add', by });
export const close: CounterCommand = { kind: 'close' };
