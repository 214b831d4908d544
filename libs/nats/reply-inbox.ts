// One inbox per connection whose reply subjects are used again and again: a request costs no subscription, no timer and
// no correlation id. An answer that comes after its slot was given up can never be taken for another's (the slot's
// subject changes when that happens). Does not retry: every request ends in an answer or in the reason why there is none.
import type { Clock } from '#libs/ports/clock.ts';
import type { Msg, MsgHdrs, NatsConnection, PermissionViolationError } from '@nats-io/transport-node';

/** Why there is no answer. After `timeout`, `disconnected` and `closed` the request may have been carried out, now or later. */
export type Lost = 'timeout' | 'disconnected' | 'closed' | 'forbidden';

/** Receives what becomes of one request. */
export interface ReplyHandler {
  /** An answer (possibly a status without body). Returns false when more answers are to come; true frees the slot. */
  onReply(message: Msg): boolean;
  /** There will be no (further) answer. */
  onLost(reason: Lost): void;
}

/** Thrown by {@link ReplyInbox.request}. */
export class LostReply extends Error {
  readonly reason: Lost;

  constructor(subject: string, reason: Lost) {
    super(`no answer on ${subject}: ${reason}`);
    this.name = 'LostReply';
    this.reason = reason;
  }
}

const TICK_MS = 50;
const FORBIDDEN_MAX = 256;

/** Hands ready-made header bytes to the client, which asks its headers only for `encode()`. */
class HeaderCarrier {
  bytes: Uint8Array = new Uint8Array(0);

  encode(): Uint8Array {
    return this.bytes;
  }
}

/** Thrown inside the client's reader, an error would end the reading and leave the connection deaf: it is thrown outside. */
const answer = (handler: ReplyHandler, message: Msg): boolean => {
  try {
    return handler.onReply(message);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
    return true;
  }
};

export class ReplyInbox {
  readonly #nc: NatsConnection;
  readonly #clock: Clock;
  readonly #isConnected: () => boolean;
  readonly #prefix: string;
  readonly #replies: string[] = [];
  readonly #generations: number[] = [];
  readonly #handlers: (ReplyHandler | undefined)[] = [];
  readonly #subjects: string[] = [];
  readonly #deadlines: number[] = [];
  readonly #free: number[] = [];
  readonly #forbidden = new Set<string>();
  readonly #carrier = new HeaderCarrier();
  readonly #withHeaders: { reply: string; headers: MsgHdrs };
  readonly #withoutHeaders = { reply: '' };
  readonly #unanswered: { headers: MsgHdrs };
  #now = 0;
  #isTicking = false;
  #isClosed = false;

  constructor(
    nc: NatsConnection,
    clock: Clock,
    options: { readonly inbox: string; readonly isConnected: () => boolean },
  ) {
    this.#nc = nc;
    this.#clock = clock;
    this.#isConnected = options.isConnected;
    const { inbox } = options;
    this.#prefix = `${inbox}.`;
    // The client calls encode() on the headers of a publish and nothing else.
    const headers = this.#carrier as unknown as MsgHdrs;
    this.#withHeaders = { reply: '', headers };
    this.#unanswered = { headers };
    nc.subscribe(`${inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
      },
    });
  }

  /** Requests without an answer yet. */
  get inFlight(): number {
    return this.#replies.length - this.#free.length;
  }

  /**
   * Sends a request; `handler` is told of the outcome, never before this call has returned.
   * Throws what the client throws for a bad subject, a payload beyond the broker's limit or a closed connection.
   */
  send(
    subject: string,
    body: Uint8Array,
    headers: Uint8Array | undefined,
    options: { readonly timeoutMs: number; readonly handler: ReplyHandler },
  ): void {
    if (this.#isClosed || !this.#isConnected()) {
      const reason = this.#isClosed ? 'closed' : 'disconnected';
      queueMicrotask(() => options.handler.onLost(reason));
      return;
    }
    if (!this.#isTicking) this.#startTicking();
    const slot = this.#free.pop() ?? this.#grow();
    try {
      const reply = this.#replies[slot] ?? '';
      if (headers === undefined) {
        this.#withoutHeaders.reply = reply;
        this.#nc.publish(subject, body, this.#withoutHeaders);
      } else {
        this.#carrier.bytes = headers;
        this.#withHeaders.reply = reply;
        this.#nc.publish(subject, body, this.#withHeaders);
      }
    } catch (error) {
      this.#free.push(slot);
      throw error;
    }
    this.#handlers[slot] = options.handler;
    this.#subjects[slot] = subject;
    this.#deadlines[slot] = this.#now + options.timeoutMs + TICK_MS;
  }

  /** Sends without asking for an answer (all but the last message of a batch). */
  publish(subject: string, body: Uint8Array, headers: Uint8Array | undefined): void {
    if (headers === undefined) return this.#nc.publish(subject, body);
    this.#carrier.bytes = headers;
    this.#nc.publish(subject, body, this.#unanswered);
  }

  /** One request, one answer. Rejects with {@link LostReply}, or with what {@link ReplyInbox.send} throws. */
  request(subject: string, body: Uint8Array, timeoutMs: number, headers?: Uint8Array): Promise<Msg> {
    return new Promise((resolve, reject) => {
      this.send(subject, body, headers, {
        timeoutMs,
        handler: {
          onReply: (message) => {
            resolve(message);
            return true;
          },
          onLost: (reason) => reject(new LostReply(subject, reason)),
        },
      });
    });
  }

  /** Gives up every request in flight. */
  loseAll(reason: 'disconnected' | 'closed'): void {
    if (reason === 'closed') this.#isClosed = true;
    for (let slot = 0; slot < this.#handlers.length; slot += 1) this.#lose(slot, reason);
  }

  /** Whether the broker has refused a publish to this subject: it says so even of messages that ask for no answer. */
  isForbidden(subject: string): boolean {
    return this.#forbidden.has(subject);
  }

  /** The broker refused a publish of this connection. */
  refuse(error: PermissionViolationError): void {
    if (error.operation !== 'publish') return;
    if (this.#forbidden.size >= FORBIDDEN_MAX) this.#forbidden.clear();
    this.#forbidden.add(error.subject);
    for (let slot = 0; slot < this.#handlers.length; slot += 1)
      if (this.#subjects[slot] === error.subject) this.#lose(slot, 'forbidden');
  }

  #receive(message: Msg): void {
    const { subject } = message;
    // "12" or, after the slot was given up once, "12-1".
    const slot = Number.parseInt(subject.slice(this.#prefix.length), 10);
    const handler = this.#handlers[slot];
    if (handler === undefined || this.#replies[slot] !== subject) return;
    if (answer(handler, message) && this.#handlers[slot] === handler) {
      this.#handlers[slot] = undefined;
      this.#free.push(slot);
    }
  }

  #lose(slot: number, reason: Lost): void {
    const handler = this.#handlers[slot];
    if (handler === undefined) return;
    const generation = (this.#generations[slot] ?? 0) + 1;
    this.#generations[slot] = generation;
    this.#replies[slot] = `${this.#prefix}${slot}-${generation}`;
    this.#handlers[slot] = undefined;
    this.#free.push(slot);
    handler.onLost(reason);
  }

  #grow(): number {
    const slot = this.#replies.length;
    this.#replies.push(`${this.#prefix}${slot}`);
    this.#generations.push(0);
    this.#handlers.push(undefined);
    this.#subjects.push('');
    this.#deadlines.push(0);
    return slot;
  }

  #startTicking(): void {
    this.#isTicking = true;
    this.#now = this.#clock.monotonicMs();
    this.#clock.timer(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    this.#now = this.#clock.monotonicMs();
    for (let slot = 0; slot < this.#handlers.length; slot += 1)
      if (this.#handlers[slot] !== undefined && (this.#deadlines[slot] ?? 0) < this.#now)
        this.#lose(slot, 'timeout');
    if (this.inFlight > 0) this.#clock.timer(TICK_MS, () => this.#tick());
    else this.#isTicking = false;
  }
}
