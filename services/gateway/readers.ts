// What readers have not seen of things that are not going on: for each reader who asks, the unread and the read ones, each in order. Made
// when a reader first asks, kept current from then on, and let go of for the reader who has not asked for longest. A thing without a cursor
// of the reader is unread (ST-30, ST-55).
import {
  createOrderedIndex,
  type Compare,
  type OrderedIndex,
  type Walk,
} from '#libs/projections/ordered-index.ts';

/** What of a thing counts here. */
export interface Readable {
  readonly id: string;
  /** What a reader may have seen. */
  readonly version: number;
}

/** Readers whose lists are kept at the same time. */
const MOST_READERS = 32;

interface Split<Place, Row extends Place> {
  readonly unread: OrderedIndex<Place, Row>;
  readonly read: OrderedIndex<Place, Row>;
}

/** The things of one kind that are not going on, by reader. */
export class Readers<Place, Row extends Place & Readable> {
  readonly #compare: Compare<Place>;
  /** All of them, in order. */
  readonly #all: () => Walk<Row>;
  readonly #cursors = new Map<string, Map<string, number>>();
  readonly #splits = new Map<string, Split<Place, Row>>();

  constructor(compare: Compare<Place>, all: () => Walk<Row>) {
    this.#compare = compare;
    this.#all = all;
  }

  /** The version that a reader has seen; 0: none. */
  seen(reader: string, id: string): number {
    return this.#cursors.get(reader)?.get(id) ?? 0;
  }

  /** What a reader has and has not seen. */
  of(reader: string): Split<Place, Row> {
    const split = this.#splits.get(reader) ?? this.#make(reader);
    // Last in the order of the map is who asked last.
    this.#splits.delete(reader);
    this.#splits.set(reader, split);
    for (const [oldest] of this.#splits) {
      if (this.#splits.size <= MOST_READERS) break;
      this.#splits.delete(oldest);
    }
    return split;
  }

  add(row: Row): void {
    for (const [reader, split] of this.#splits) this.#sideOf(split, reader, row).add(row);
  }

  remove(row: Row): void {
    for (const [reader, split] of this.#splits) this.#sideOf(split, reader, row).remove(row);
  }

  /** A reader's cursor has moved, or is gone (0). `row`: the thing, if it is not going on. */
  move(reader: string, id: string, version: number, row: Row | undefined): void {
    const split = row === undefined ? undefined : this.#splits.get(reader);
    if (split !== undefined && row !== undefined) this.#sideOf(split, reader, row).remove(row);
    const cursors = this.#cursors.get(reader) ?? new Map<string, number>();
    if (version > 0) cursors.set(id, version);
    else cursors.delete(id);
    if (cursors.size > 0) this.#cursors.set(reader, cursors);
    else this.#cursors.delete(reader);
    if (split !== undefined && row !== undefined) this.#sideOf(split, reader, row).add(row);
  }

  #sideOf(split: Split<Place, Row>, reader: string, row: Row): OrderedIndex<Place, Row> {
    return this.seen(reader, row.id) < row.version ? split.unread : split.read;
  }

  #make(reader: string): Split<Place, Row> {
    const split = {
      unread: createOrderedIndex<Place, Row>(this.#compare),
      read: createOrderedIndex<Place, Row>(this.#compare),
    };
    const cursors = this.#cursors.get(reader);
    const unread: Row[] = [];
    const read: Row[] = [];
    // They come in order: a reader's first request does not wait for them to be sorted.
    for (const walk = this.#all(); walk.row !== undefined; walk.advance()) {
      const { id, version } = walk.row;
      ((cursors?.get(id) ?? 0) < version ? unread : read).push(walk.row);
    }
    split.unread.refill(unread);
    split.read.refill(read);
    return split;
  }
}
