// The last items of a stream, each once for all its readers: who falls behind by a little goes on from here. Without it many readers that are slow at the same
// time would each ask the broker for the same entries, and take them apart again. Bounded in bytes. Knows no reader.
import type { FeedItem } from './feed-item.ts';

/** A page of what has passed. */
export interface PastPage {
  readonly items: readonly FeedItem[];
  /** Where the next one begins; undefined: this was the last. */
  readonly nextSeq: number | undefined;
}

/** Two sequences (inclusive), what of it is wanted, and how many bytes of that at most: the item that goes beyond them is still of it. */
export interface PageQuery {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly mostBytes: number;
  readonly isWanted: (item: FeedItem) => boolean;
}

/** Items that were let go of stay in the list until there are so many. */
const MOST_PASSED = 1024;

export class RecentItems {
  readonly #mostBytes: number;
  #items: FeedItem[] = [];
  /** Where in the list the first one is. */
  #first = 0;
  #bytes = 0;
  /** Everything that came after this is here. */
  #after = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Lets go of everything; what comes next comes after `seq`. */
  restart(seq: number): void {
    this.#items = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#after = seq;
  }

  add(item: FeedItem): void {
    this.#items.push(item);
    this.#bytes += item.bytes;
    for (let oldest = this.#items[this.#first]; oldest !== undefined && this.#bytes > this.#mostBytes;) {
      this.#bytes -= oldest.bytes;
      this.#after = oldest.seq;
      this.#first += 1;
      oldest = this.#items[this.#first];
    }
    if (this.#first < MOST_PASSED) return;
    this.#items = this.#items.slice(this.#first);
    this.#first = 0;
  }

  /** Undefined: not all of it is here any more. */
  page({ fromSeq, toSeq, mostBytes, isWanted }: PageQuery): PastPage | undefined {
    if (fromSeq <= this.#after) return undefined;
    const items: FeedItem[] = [];
    let bytes = 0;
    for (let at = this.#placeOf(fromSeq); at < this.#items.length; at += 1) {
      const item = this.#items[at];
      if (item === undefined || item.seq > toSeq) break;
      if (!isWanted(item)) continue;
      items.push(item);
      bytes += item.bytes;
      if (bytes >= mostBytes) return { items, nextSeq: item.seq + 1 };
    }
    return { items, nextSeq: undefined };
  }

  /** Of the first item that does not stand before a sequence. */
  #placeOf(seq: number): number {
    let low = this.#first;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#items[middle]?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
