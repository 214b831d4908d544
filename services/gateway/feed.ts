// A feed: the entries of both streams that a reader is interested in, from a position on, first read by itself, then live.
// Nothing is missed and nothing comes twice: within each stream the order is the stream's, and every batch says the position
// after each item. Where retention has passed the reader, it says so (`gone`). Memory: what the seats may hold, and a page of the past of each stream.
//
// catching-up → live       read up to where the seats were taken
// live → catching-up       a queue overflowed: the reader is slow, and goes on from its own position
// any → ended              the run has ended and its reports are out; or the signal aborted
import type { FeedPosition } from './cursor.ts';
import type { FeedHub, Seat } from './feed-hub.ts';
import type { FeedItem, FeedStream } from './feed-item.ts';
import { mergeByTime, readPastByPages, type FeedSources } from './feed-source.ts';
import type { Turnstile } from './turnstile.ts';

type Lane = 'transitions' | 'events';

/** What a feed hands out. */
export type FeedOutput =
  | { readonly kind: 'item'; readonly item: FeedItem; readonly position: FeedPosition }
  /** Entries before `firstSeq` of the stream are no longer kept, and some that the reader wanted may have been among them. */
  | {
      readonly kind: 'gone';
      readonly stream: FeedStream;
      readonly firstSeq: number;
      readonly position: FeedPosition;
    }
  /** All of the past is out. */
  | { readonly kind: 'live'; readonly position: FeedPosition }
  | { readonly kind: 'end'; readonly position: FeedPosition };

export interface FeedOptions {
  readonly sources: FeedSources;
  readonly hubs: Readonly<Record<Lane, FeedHub>>;
  readonly from: FeedPosition;
  /** Ends after the transition that ends the run, and the reports before it. */
  readonly endsWithRun: boolean;
  /** The run had ended at `from` already. */
  readonly hasEnded: boolean;
  /** Pages of the past that all feeds together read at a time. */
  readonly turnstile: Turnstile;
  readonly signal: AbortSignal;
}

const LANES: readonly Lane[] = ['transitions', 'events'];

class Feed {
  readonly #options: FeedOptions;
  readonly #at: Record<Lane, number>;
  readonly #seats: Partial<Record<Lane, Seat>> = {};
  /** The end of EVENTS when the run's end was seen: the feed ends when it has passed it. */
  #endsAfter: number | undefined;
  #wake: (() => void) | undefined;
  #isAwake = false;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#at = { ...options.from };
  }

  async *run(): AsyncGenerator<FeedOutput> {
    const { signal, hasEnded } = this.#options;
    const onAbort = (): void => this.#rouse();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (hasEnded) await this.#noteEnd();
      yield* this.#catchUp();
      yield { kind: 'live', position: this.#position() };
      yield* this.#live();
      while (!this.#isOver() && !signal.aborted) {
        yield* this.#catchUp();
        yield* this.#live();
      }
      if (!signal.aborted) yield { kind: 'end', position: this.#position() };
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#leave();
    }
  }

  #position(): FeedPosition {
    return { transitions: this.#at.transitions, events: this.#at.events };
  }

  #rouse(): void {
    this.#isAwake = true;
    this.#wake?.();
  }

  #leave(): void {
    for (const lane of LANES) {
      this.#seats[lane]?.leave();
      delete this.#seats[lane];
    }
  }

  async #noteEnd(): Promise<void> {
    const { hubs, endsWithRun } = this.#options;
    if (endsWithRun) this.#endsAfter = (await hubs.events.log.bounds()).lastSeq;
  }

  #isOver(): boolean {
    return this.#endsAfter !== undefined && this.#at.events >= this.#endsAfter;
  }

  /** Takes the seats anew and reads what is before them. */
  async *#catchUp(): AsyncGenerator<FeedOutput> {
    const { hubs, sources, turnstile, signal } = this.#options;
    for (const lane of LANES) {
      const left = this.#seats[lane];
      this.#seats[lane] = await hubs[lane].sit(sources[lane].interest, () => this.#rouse());
      // Not before: a hub without seats forgets what has passed.
      left?.leave();
    }
    for (const lane of LANES) yield* this.#passGone(lane, this.#at[lane] + 1);
    const began = this.#position();
    const past = (lane: Lane): AsyncGenerator<FeedItem> => {
      const toSeq = this.#seats[lane]?.from ?? 0;
      const range = { fromSeq: this.#at[lane] + 1, toSeq, signal };
      return readPastByPages(sources[lane], range, { hub: hubs[lane], turnstile });
    };
    for await (const item of mergeByTime(past('transitions'), past('events'))) yield await this.#out(item);
    if (signal.aborted) return;
    for (const lane of LANES) this.#at[lane] = Math.max(this.#at[lane], this.#seats[lane]?.from ?? 0);
    // Retention may have passed the reader while it read.
    for (const lane of LANES) yield* this.#passGone(lane, began[lane] + 1);
  }

  /** Says so when entries from `nextSeq` on, which were still to be read, are gone. */
  async *#passGone(lane: Lane, nextSeq: number): AsyncGenerator<FeedOutput> {
    const { stream, log, notBefore } = this.#options.sources[lane];
    if (nextSeq > (this.#seats[lane]?.from ?? 0)) return;
    const { firstSeq } = await log.bounds();
    if (firstSeq <= Math.max(nextSeq, notBefore)) return;
    this.#at[lane] = Math.max(this.#at[lane], firstSeq - 1);
    yield { kind: 'gone', stream, firstSeq, position: this.#position() };
  }

  async #out(item: FeedItem): Promise<FeedOutput> {
    this.#at[item.stream === 'EVENTS' ? 'events' : 'transitions'] = item.seq;
    if (item.endsRun) await this.#noteEnd();
    return { kind: 'item', item, position: this.#position() };
  }

  async *#live(): AsyncGenerator<FeedOutput> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      this.#isAwake = false;
      const item = this.#nextQueued();
      if (item === 'overflowed') return;
      if (item !== undefined) yield await this.#out(item);
      else if (this.#isOver()) return;
      else await this.#sleep();
    }
  }

  /** The older of the first queued items; with empty queues the position moves on with the seats. */
  #nextQueued(): FeedItem | 'overflowed' | undefined {
    const { transitions, events } = this.#seats;
    if (transitions === undefined || events === undefined) return 'overflowed';
    if (transitions.overflowed || events.overflowed) return 'overflowed';
    const one = transitions.peek();
    const other = events.peek();
    if (one === undefined) this.#at.transitions = Math.max(this.#at.transitions, transitions.position());
    if (other === undefined) this.#at.events = Math.max(this.#at.events, events.position());
    if (one === undefined || (other !== undefined && other.storedAt < one.storedAt)) return events.take();
    return transitions.take();
  }

  #sleep(): Promise<void> {
    if (this.#endsAfter !== undefined) this.#seats.events?.awaitPosition(this.#endsAfter);
    if (this.#isAwake || this.#isOver()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Reads a feed. Throws the log's faults; the reader may come again with its last position. */
export const readFeed = (options: FeedOptions): AsyncGenerator<FeedOutput> => new Feed(options).run();
