// The pipelined publisher: entries go out in the order of the calls, at most a window of them without an answer, each with
// its own outcome. No retries (the caller has the entries and their ids), no expectations, no batches.
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { Publisher, PublishOutcome } from '#libs/ports/publisher.ts';
import type { Msg } from '@nats-io/transport-node';
import type { NatsConnectionHandle } from './connect.ts';
import { checkEntry, entryHeaders } from './entry-wire.ts';
import { answerFault, classifyAnswer, thrownFault } from './errors.ts';
import { parseAck } from './publish-ack.ts';
import type { Lost, ReplyHandler } from './reply-inbox.ts';

export interface PublisherOptions {
  /** Most entries without an answer. @default 512 */
  readonly window?: number;
  /** After this time without an answer an entry counts as `unreachable`; it may be stored. @default 5,000 */
  readonly timeoutMs?: number;
}

type Entry = Omit<NewEntry, 'expectedSeq'>;
type OnOutcome = (outcome: PublishOutcome) => void;

const DEFAULT_WINDOW = 512;
const DEFAULT_TIMEOUT_MS = 5_000;

const LOST: Readonly<Record<Exclude<Lost, 'forbidden'>, PublishOutcome>> = {
  timeout: { kind: 'unreachable', message: 'the broker gave no answer in time' },
  disconnected: { kind: 'unreachable', message: 'the connection was lost' },
  closed: { kind: 'unreachable', message: 'the connection is closed' },
};

const FORBIDDEN: PublishOutcome = {
  kind: 'refused',
  code: 'LOG_REFUSED',
  message: 'no permission to publish to this subject',
};

/** What an answer means. Nobody listening is "unreachable": there may be no leader for now. */
const outcomeOf = (message: Msg): PublishOutcome => {
  const ack = parseAck(message);
  if (ack.kind === 'stored') return { kind: 'stored', seq: ack.seq, duplicate: ack.duplicate };
  if (ack.kind === 'unserved') return { kind: 'unreachable', message: 'no stream takes the subject now' };
  const kind = classifyAnswer(ack.error);
  const { code, message: reason } = answerFault('LOG', 'publish', ack.error);
  return kind === 'unavailable' || kind === 'busy'
    ? { kind: 'unreachable', message: reason }
    : { kind: 'refused', code, message: reason };
};

class NatsPublisher implements Publisher {
  readonly #connection: NatsConnectionHandle;
  readonly #window: number;
  readonly #timeoutMs: number;
  #inFlight = 0;
  #isClosed = false;
  readonly #waitingForRoom: (() => void)[] = [];
  readonly #waitingForSpace: (() => void)[] = [];
  #collected: { readonly entry: Entry; readonly onOutcome: OnOutcome }[] = [];
  readonly #waitingForQuiet: (() => void)[] = [];

  constructor(connection: NatsConnectionHandle, options: PublisherOptions) {
    this.#connection = connection;
    this.#window = options.window ?? DEFAULT_WINDOW;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  async publish(entry: Entry): Promise<{ readonly outcome: Promise<PublishOutcome> }> {
    // Whoever waited longest goes first: a caller that comes now queues up behind those who wait.
    if (this.#inFlight >= this.#window || this.#waitingForRoom.length > 0) await this.#turn();
    else this.#inFlight += 1;
    return { outcome: new Promise((resolve) => this.#collect(entry, resolve)) };
  }

  tryPublish(entry: Entry, onOutcome: OnOutcome): boolean {
    if (this.#inFlight >= this.#window || this.#waitingForRoom.length > 0) return false;
    this.#inFlight += 1;
    if (this.#collected.length > 0) this.#sendCollected();
    this.#send(entry, onOutcome);
    return true;
  }

  room(): Promise<void> {
    if (this.#inFlight < this.#window && this.#waitingForRoom.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waitingForSpace.push(resolve));
  }

  drained(): Promise<void> {
    if (this.#inFlight === 0 && this.#waitingForRoom.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waitingForQuiet.push(resolve));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.drained();
  }

  /** Resolves when a place in the window has been handed over. */
  #turn(): Promise<void> {
    return new Promise((resolve) => this.#waitingForRoom.push(resolve));
  }

  /** A caller in a loop comes back in the next microtask: what comes until then goes out in one write to the socket. */
  #collect(entry: Entry, onOutcome: OnOutcome): void {
    this.#collected.push({ entry, onOutcome });
    if (this.#collected.length === 1) process.nextTick(this.#sendCollected);
  }

  readonly #sendCollected = (): void => {
    const collected = this.#collected;
    this.#collected = [];
    for (const { entry, onOutcome } of collected) this.#send(entry, onOutcome);
  };

  #send(entry: Entry, onOutcome: OnOutcome): void {
    const handler = new InFlight(this.#settled, onOutcome);
    if (this.#isClosed) return queueMicrotask(() => handler.onLost('closed'));
    try {
      checkEntry(entry);
      const headers = entryHeaders(entry);
      const options = { timeoutMs: this.#timeoutMs, handler };
      this.#connection.inbox.send(entry.subject, entry.body, headers, options);
    } catch (error) {
      const { code, message } = thrownFault('LOG', `publish to ${entry.subject}`, error);
      queueMicrotask(() => handler.settle({ kind: 'refused', code, message }));
    }
  }

  readonly #settled = (): void => {
    const next = this.#waitingForRoom.shift();
    // The place goes to the next in the queue, and is never free in between.
    if (next !== undefined) return next();
    this.#inFlight -= 1;
    if (this.#waitingForSpace.length > 0) for (const resolve of this.#waitingForSpace.splice(0)) resolve();
    if (this.#inFlight === 0 && this.#waitingForQuiet.length > 0)
      for (const resolve of this.#waitingForQuiet.splice(0)) resolve();
  };
}

/** One entry without an answer. */
class InFlight implements ReplyHandler {
  readonly #onSettled: () => void;
  readonly #onOutcome: OnOutcome;

  constructor(onSettled: () => void, onOutcome: OnOutcome) {
    this.#onSettled = onSettled;
    this.#onOutcome = onOutcome;
  }

  onReply(message: Msg): boolean {
    this.settle(outcomeOf(message));
    return true;
  }

  onLost(reason: Lost): void {
    this.settle(reason === 'forbidden' ? FORBIDDEN : LOST[reason]);
  }

  settle(outcome: PublishOutcome): void {
    this.#onOutcome(outcome);
    this.#onSettled();
  }
}

/** A publisher of its own window on a connection. */
export const createPublisher = (
  connection: NatsConnectionHandle,
  options: PublisherOptions = {},
): Publisher => new NatsPublisher(connection, options);
