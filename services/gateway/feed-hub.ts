// One follow-replay of a stream for all live readers of it. A reader takes a seat and is told the position at which it sits:
// everything up to there is its own to read, everything after comes to its queue; so it joins without gap or repeat.
// A queue is bounded: a reader that does not keep up loses it (`overflowed`) and goes back to reading by itself.
//
// idle → starting (first seat) → following → idle (last seat left)      following → starting: the replay failed, after a while
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { feedItem, type FeedItem, type FeedStream } from './feed-item.ts';
import { RecentItems, type PageQuery, type PastPage } from './recent-items.ts';

/** What a reader wants to see of a stream. */
export interface FeedInterest {
  /** Only items of this run are looked at. */
  readonly runId?: string;
  readonly matches: (item: FeedItem) => boolean;
}

/** A live reader's place. */
export interface Seat {
  /** The position when the seat was taken. */
  readonly from: number;
  /** Everything of interest up to here is in the queue, or was taken from it. */
  position(): number;
  /** Asks to be told when the position has reached `seq`, although nothing of interest came. */
  awaitPosition(seq: number): void;
  readonly overflowed: boolean;
  /** The first item of the queue, left there. */
  peek(): FeedItem | undefined;
  take(): FeedItem | undefined;
  leave(): void;
}

export interface FeedHub {
  readonly stream: FeedStream;
  readonly log: EventLog;
  /** Takes a seat; `onChange` is called, synchronously, when its queue got an item or was lost. Throws the log's faults. */
  sit(interest: FeedInterest, onChange: () => void): Promise<Seat>;
  /** A page of what has come since somebody sits here; undefined: ask the log. */
  recent(query: PageQuery): PastPage | undefined;
  readonly seats: number;
  stop(): Promise<void>;
}

interface HubOptions {
  readonly stream: FeedStream;
  readonly log: EventLog;
  readonly clock: Clock;
  /** Items a queue may hold; default 1,000. */
  readonly maxItems?: number;
  /** Bytes a queue may hold, unless its first item alone has more; default 2 MiB. What several queues hold is there once. */
  readonly maxBytes?: number;
  readonly onTrouble: (fault: Fault) => void;
}

/** Wait before a failed replay is started again. */
const RESTART_MS = 500;
/** The last of a stream that are held, for all who fall behind. */
const RECENT_BYTES = 8 * 1024 * 1024;

class Chair implements Seat {
  readonly from: number;
  readonly matches: (item: FeedItem) => boolean;
  overflowed = false;
  readonly #hub: Hub;
  readonly #onChange: () => void;
  #queue: FeedItem[] = [];
  #taken = 0;
  #bytes = 0;

  constructor(hub: Hub, matches: (item: FeedItem) => boolean, onChange: () => void) {
    this.#hub = hub;
    this.matches = matches;
    this.#onChange = onChange;
    this.from = hub.position;
  }

  position(): number {
    return this.#hub.position;
  }

  peek(): FeedItem | undefined {
    return this.#queue[this.#taken];
  }

  take(): FeedItem | undefined {
    const item = this.#queue[this.#taken];
    if (item === undefined) return undefined;
    this.#taken += 1;
    this.#bytes -= item.bytes;
    // Shifting one by one would cost the whole queue each time.
    if (this.#taken === this.#queue.length || this.#taken > 256) {
      this.#queue = this.#queue.slice(this.#taken);
      this.#taken = 0;
    }
    return item;
  }

  offer(item: FeedItem, maxItems: number, maxBytes: number): void {
    if (this.overflowed) return;
    this.#queue.push(item);
    // What waits holds nothing of what came with it.
    item.utf8();
    this.#bytes += item.bytes;
    const count = this.#queue.length - this.#taken;
    if (count > maxItems || (count > 1 && this.#bytes > maxBytes)) {
      this.overflowed = true;
      this.#queue = [];
      this.#taken = 0;
    }
    this.#onChange();
  }

  awaitPosition(seq: number): void {
    this.#hub.awaitPosition(this, seq);
  }

  tell(): void {
    this.#onChange();
  }

  leave(): void {
    this.#hub.leave(this);
  }
}

class Hub implements FeedHub {
  readonly stream: FeedStream;
  readonly log: EventLog;
  readonly #options: HubOptions;
  readonly #byRun = new Map<string, Set<Chair>>();
  readonly #wide = new Set<Chair>();
  readonly #recent = new RecentItems(RECENT_BYTES);
  readonly #runOf = new Map<Chair, string>();
  /** Seats that wait for a position. */
  readonly #awaited = new Map<Chair, number>();
  #position = 0;
  #following: AbortController | undefined;
  #started: Promise<void> | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(options: HubOptions) {
    this.#options = options;
    this.stream = options.stream;
    this.log = options.log;
  }

  get position(): number {
    return this.#position;
  }

  recent(query: PageQuery): PastPage | undefined {
    return this.#following === undefined ? undefined : this.#recent.page(query);
  }

  get seats(): number {
    return this.#wide.size + this.#runOf.size;
  }

  async sit(interest: FeedInterest, onChange: () => void): Promise<Seat> {
    // The hub may have gone idle again while this seat waited for its start.
    while (this.#following === undefined || this.#started !== undefined)
      await (this.#started ??= this.#start());
    const chair = new Chair(this, interest.matches, onChange);
    if (interest.runId === undefined) this.#wide.add(chair);
    else {
      this.#runOf.set(chair, interest.runId);
      const ofRun = this.#byRun.get(interest.runId);
      if (ofRun === undefined) this.#byRun.set(interest.runId, new Set([chair]));
      else ofRun.add(chair);
    }
    return chair;
  }

  awaitPosition(chair: Chair, seq: number): void {
    this.#awaited.set(chair, seq);
  }

  leave(chair: Chair): void {
    this.#awaited.delete(chair);
    this.#wide.delete(chair);
    const runId = this.#runOf.get(chair);
    if (runId !== undefined) {
      this.#runOf.delete(chair);
      const ofRun = this.#byRun.get(runId);
      ofRun?.delete(chair);
      if (ofRun?.size === 0) this.#byRun.delete(runId);
    }
    if (this.seats === 0) this.#idle();
  }

  async stop(): Promise<void> {
    this.#idle();
    await this.#done;
  }

  #idle(): void {
    this.#following?.abort();
    this.#following = undefined;
    this.#recent.restart(this.#position);
  }

  async #start(): Promise<void> {
    try {
      this.#position = (await this.log.bounds()).lastSeq;
      this.#recent.restart(this.#position);
      const following = new AbortController();
      this.#following = following;
      this.#done = this.#follow(following.signal);
    } finally {
      this.#started = undefined;
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { clock, onTrouble } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#replay(signal);
      } catch (error) {
        if (!signal.aborted) onTrouble(toFault(error));
      }
      await clock.sleep(RESTART_MS, signal);
    }
  }

  async #replay(signal: AbortSignal): Promise<void> {
    const from = { seq: this.#position + 1 };
    for await (const entry of this.log.replay({ from, follow: true, signal })) {
      // Readers that come later sit down at a position of their own: what this replay still has is not for them.
      if (signal.aborted) return;
      this.#hand(feedItem(this.stream, entry));
    }
  }

  #hand(item: FeedItem): void {
    const { maxItems = 1000, maxBytes = 2 * 1024 * 1024 } = this.#options;
    this.#position = item.seq;
    this.#recent.add(item);
    const ofRun = item.runId === undefined ? undefined : this.#byRun.get(item.runId);
    for (const chairs of [ofRun ?? [], this.#wide])
      for (const chair of chairs) if (chair.matches(item)) chair.offer(item, maxItems, maxBytes);
    for (const [chair, seq] of this.#awaited) {
      if (seq > this.#position) continue;
      this.#awaited.delete(chair);
      chair.tell();
    }
  }
}

/** A hub without readers; it does nothing until the first one sits down. */
export const createFeedHub = (options: HubOptions): FeedHub => new Hub(options);
