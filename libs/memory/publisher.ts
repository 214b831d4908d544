// The publisher port over the memory broker: the same window and the same order as the real one, outcomes as promises.
// Faults of the log become outcomes here; nothing rejects.
import { toFault } from '#libs/kernel/fault.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import type { Publisher, PublishOutcome } from '#libs/ports/publisher.ts';
import { Bell } from './bell.ts';

const DEFAULT_WINDOW = 512;

type Entry = Omit<NewEntry, 'expectedSeq'>;

export interface PublisherParts {
  /** The log that takes a subject; throws `LOG_MISSING` when there is none. */
  readonly logOf: (subject: string) => EventLog;
  /** Most entries in flight. Default 512. */
  readonly window?: number;
}

const toOutcome = (error: unknown): PublishOutcome => {
  const { code, retry, message } = toFault(error);
  return retry === 'never' ? { kind: 'refused', code, message } : { kind: 'unreachable', message };
};

/** A publisher over every stream of a broker. */
export const createMemoryPublisher = ({ logOf, window = DEFAULT_WINDOW }: PublisherParts): Publisher => {
  const changed = new Bell();
  let inFlight = 0;
  let inLine = 0;
  let isClosed = false;
  let line: Promise<void> = Promise.resolve();

  const append = async ({ subject, id, headers, body }: Entry): Promise<PublishOutcome> => {
    try {
      if (isClosed) return { kind: 'unreachable', message: 'the publisher is closed' };
      const outcome = await logOf(subject).append({ subject, id, headers, body });
      if (outcome.kind === 'appended')
        return { kind: 'stored', seq: outcome.seq, duplicate: outcome.duplicate };
      return { kind: 'refused', code: 'LOG_REFUSED', message: 'conflict without an expectation' };
    } catch (error) {
      return toOutcome(error);
    }
  };

  const send = async (entry: Entry): Promise<PublishOutcome> => {
    inFlight += 1;
    const outcome = await append(entry);
    inFlight -= 1;
    changed.ring();
    return outcome;
  };

  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await changed.wait();
  };

  /** Waits for room behind those who came before, so that entries leave in the order of the calls. */
  const publish = (entry: Entry): Promise<{ readonly outcome: Promise<PublishOutcome> }> => {
    inLine += 1;
    const turn = line.then(async () => {
      await until(() => inFlight < window);
      inLine -= 1;
      return { outcome: send(entry) };
    });
    line = turn.then(() => undefined);
    return turn;
  };

  return {
    publish,
    tryPublish: (entry, onOutcome) => {
      if (!isClosed && (inLine > 0 || inFlight >= window)) return false;
      void send(entry).then(onOutcome);
      return true;
    },
    room: () => until(() => inLine === 0 && inFlight < window),
    drained: () => until(() => inFlight === 0 && inLine === 0),
    close: async () => {
      isClosed = true;
      await until(() => inFlight === 0 && inLine === 0);
    },
  };
};
