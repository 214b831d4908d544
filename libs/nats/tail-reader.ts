// What one follower reads of a tail that several share (see shared-tail.ts): messages that were offered to it, in their order, and a bound on how
// long the others wait for it. Ends when it is cut, with its signal, or with the fault of the tail.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { BurstBuffer } from './burst-buffer.ts';
import { subjectPattern } from './subject-filter.ts';
import type { FeedItem } from './supervised-consumer.ts';

export type TailMessage = Extract<FeedItem, { readonly kind: 'message' }>;

/** Messages that may wait for a follower before the others wait for it. */
const MOST_AHEAD = 256;

export interface TailReaderOptions {
  readonly filters: readonly string[];
  readonly afterSeq: number;
  readonly signal: AbortSignal | undefined;
  /** Waited for before it goes on after a pause. */
  readonly calm: () => Promise<void>;
}

export class TailReader {
  readonly #wanted: RegExp;
  readonly #items = new BurstBuffer<FeedItem>();
  readonly #leave: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #calm: () => Promise<void>;
  #waiting = 0;
  #onRoom: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isCut = false;
  /** The last sequence that it was given; what follows it is not here yet. */
  lastSeq: number;

  constructor({ filters, afterSeq, signal, calm }: TailReaderOptions, leave: (reader: TailReader) => void) {
    this.#wanted = subjectPattern(filters);
    this.lastSeq = afterSeq;
    this.#signal = signal;
    this.#calm = calm;
    this.#leave = () => leave(this);
  }

  /** Gives it a message of the tail, unless it has it or does not want it. */
  offer(message: TailMessage): void {
    const { streamSeq } = message.facts;
    if (streamSeq <= this.lastSeq || !this.#wanted.test(message.message.subject)) return;
    this.lastSeq = streamSeq;
    this.#waiting += 1;
    this.#items.add(message);
  }

  /** Tells it that everything up to this sequence, when the tail began, has been offered. */
  caughtUp(lastSeq: number): void {
    this.#waiting += 1;
    this.#items.add({ kind: 'caught-up', lastSeq, isScan: false });
  }

  /** Resolves when it can be given more (true), or when it could not within that time (false). */
  hasRoom(clock: Clock, withinMs: number): Promise<boolean> | true {
    if (this.#waiting < MOST_AHEAD) return true;
    return new Promise((resolve) => {
      let cancel: CancelTimer = () => undefined;
      const end = (isRoom: boolean): void => {
        cancel();
        this.#onRoom = undefined;
        resolve(isRoom);
      };
      cancel = clock.timer(withinMs, () => end(false));
      this.#onRoom = () => end(true);
    });
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
          this.#taken(burst.length);
        } else if (this.#failure !== undefined) throw this.#failure.error;
        else if (this.#isCut) return;
        else {
          await this.#items.wait();
          await this.#calm();
        }
      }
    } finally {
      this.#signal?.removeEventListener('abort', wake);
      this.#leave();
      // Who is gone needs nothing more.
      this.#taken(this.#waiting);
    }
  }

  #taken(count: number): void {
    this.#waiting -= count;
    if (this.#waiting < MOST_AHEAD) this.#onRoom?.();
  }
}
