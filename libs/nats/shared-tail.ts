// The newest end of a stream, read once for all who follow it in this process: what the broker would send to each of them comes over one
// consumer and is handed out here. A follower catches up by itself (replay.ts), joins when nothing lies between what it has and what is
// remembered here, and falls out when it is too slow: then it catches up by itself again. So nobody waits for anybody.
// Order, and neither gap nor repeat, are those of the consumer (supervised-consumer.ts); its fault ends every follower.
// Memory: {@link MOST_REMEMBERED} messages, and at most {@link MOST_WAITING} for each follower.
import { overlaps } from '#libs/topology/subject-overlap.ts';
import { BurstBuffer } from './burst-buffer.ts';
import type { WriteContext } from './retried-publish.ts';
import { deliveredEntry } from './stored-entry.ts';
import { isWithin } from './subject-filter.ts';
import { type FeedItem, SupervisedConsumer } from './supervised-consumer.ts';

type Message = Extract<FeedItem, { readonly kind: 'message' }>;

/** Messages kept for those who join: what comes in between the last message that a follower reads by itself and its joining. */
const MOST_REMEMBERED = 256;
const MOST_WAITING = 1_000;
const CAPACITY = 256;

/** What one follower reads of a tail. Ends when it is too slow, with the signal, or with the fault of the tail. */
export class TailReader {
  readonly filters: readonly string[];
  readonly #items = new BurstBuffer<Message>();
  readonly #leave: () => void;
  readonly #signal: AbortSignal | undefined;
  #waiting = 0;
  #failure: { readonly error: unknown } | undefined;
  #isCut = false;
  /** The last sequence that it was given; what follows it is not here yet. */
  lastSeq: number;

  constructor(
    options: {
      readonly filters: readonly string[];
      readonly afterSeq: number;
      readonly signal: AbortSignal | undefined;
    },
    leave: (reader: TailReader) => void,
  ) {
    this.filters = options.filters;
    this.lastSeq = options.afterSeq;
    this.#signal = options.signal;
    this.#leave = () => leave(this);
  }

  /** Gives it a message of the tail; false: it has fallen out. */
  offer(message: Message): boolean {
    const { streamSeq } = message.facts;
    if (streamSeq <= this.lastSeq || !this.#wants(message)) return true;
    if (this.#waiting >= MOST_WAITING) {
      this.cut();
      return false;
    }
    this.lastSeq = streamSeq;
    this.#waiting += 1;
    this.#items.add(message);
    return true;
  }

  /** Nothing more comes: what waits is still read. */
  cut(failure?: { readonly error: unknown }): void {
    this.#isCut = true;
    this.#failure = failure;
    this.#items.rouse();
  }

  /** Messages as they came. */
  async *bursts(): AsyncGenerator<readonly FeedItem[]> {
    const wake = (): void => this.#items.rouse();
    this.#signal?.addEventListener('abort', wake, { once: true });
    try {
      while (this.#signal?.aborted !== true) {
        const burst = this.#items.take();
        if (burst.length > 0) {
          yield burst;
          this.#waiting -= burst.length;
        } else if (this.#failure !== undefined) throw this.#failure.error;
        else if (this.#isCut) return;
        else await this.#items.wait();
      }
    } finally {
      this.#signal?.removeEventListener('abort', wake);
      this.#leave();
    }
  }

  #wants({ message }: Message): boolean {
    return this.filters.some((filter) => isWithin(message.subject, filter));
  }
}

/** The filters that cover both, or undefined when the broker would not take them in one consumer. */
const united = (known: readonly string[], more: readonly string[]): readonly string[] | undefined => {
  const added = more.filter((one) => !known.some((wide) => isWithin(one, wide)));
  const kept = known.filter((one) => !added.some((wide) => isWithin(one, wide)));
  const isPossible = added.every((one) => kept.every((other) => !overlaps(one, other)));
  return isPossible ? [...kept, ...added] : undefined;
};

export class SharedTail {
  readonly #context: WriteContext;
  readonly #readers = new Set<TailReader>();
  #filters: readonly string[] = [];
  /** The newest messages, all that match `#filters` from `#fromSeq` on. */
  #remembered: Message[] = [];
  #fromSeq = 0;
  #lastSeq = 0;
  #ending: AbortController | undefined;

  constructor(context: WriteContext) {
    this.#context = context;
  }

  /**
   * Hands out what matches after `afterSeq`; undefined: what comes next is not remembered here, so that the follower has to read on by
   * itself before it asks again.
   */
  join(
    filters: readonly string[],
    afterSeq: number,
    signal: AbortSignal | undefined,
  ): TailReader | undefined {
    if (this.#readers.size === 0) this.#begin(filters, afterSeq);
    else if (!this.#covers(filters) && !this.#widen(filters)) return undefined;
    if (afterSeq + 1 < this.#fromSeq) return undefined;
    const reader = new TailReader({ filters, afterSeq, signal }, (left) => this.#forget(left));
    for (const message of this.#remembered) reader.offer(message);
    this.#readers.add(reader);
    return reader;
  }

  #covers(filters: readonly string[]): boolean {
    return filters.every((one) => this.#filters.some((wide) => isWithin(one, wide)));
  }

  #begin(filters: readonly string[], afterSeq: number): void {
    this.#ending?.abort();
    this.#filters = filters;
    this.#lastSeq = afterSeq;
    this.#read();
  }

  /** Goes on with more filters; of what they add, only what comes from now on is known. */
  #widen(filters: readonly string[]): boolean {
    const wider = united(this.#filters, filters);
    if (wider === undefined) return false;
    this.#ending?.abort();
    this.#filters = wider;
    this.#read();
    return true;
  }

  #read(): void {
    this.#remembered = [];
    this.#fromSeq = this.#lastSeq + 1;
    const ending = new AbortController();
    this.#ending = ending;
    void this.#handOut(ending.signal);
  }

  async #handOut(signal: AbortSignal): Promise<void> {
    const { connection, stream } = this.#context;
    const consumer = new SupervisedConsumer({
      connection,
      stream,
      family: 'LOG',
      filters: this.#filters,
      start: { seq: this.#fromSeq },
      capacity: CAPACITY,
      onReplaced: 'fault',
      signal,
    });
    try {
      for await (const burst of consumer.bursts()) this.#handBurst(burst, signal);
    } catch (error) {
      if (signal.aborted) return;
      for (const reader of this.#readers) reader.cut({ error });
      this.#readers.clear();
    }
  }

  #handBurst(burst: readonly FeedItem[], signal: AbortSignal): void {
    for (const item of burst) {
      // Another reading has begun where this one was.
      if (signal.aborted) return;
      if (item.kind === 'message') this.#hand(item);
    }
  }

  #hand({ message, facts, scanSeq }: Message): void {
    // One entry for all: its headers are read once.
    const item: Message = {
      kind: 'message',
      message,
      facts,
      scanSeq,
      entry: deliveredEntry(message, facts),
    };
    this.#lastSeq = facts.streamSeq;
    this.#remembered.push(item);
    if (this.#remembered.length > 2 * MOST_REMEMBERED) {
      const [last] = this.#remembered.splice(0, MOST_REMEMBERED).slice(-1);
      this.#fromSeq = (last?.facts.streamSeq ?? 0) + 1;
    }
    for (const reader of this.#readers) if (!reader.offer(item)) this.#readers.delete(reader);
  }

  #forget(reader: TailReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    this.#ending?.abort();
    this.#remembered = [];
  }
}
