// What readers have not seen of things that are not going on: for each reader who asks, the unread and the read ones, each in order. Made
// when a reader first asks, in pieces between which others are answered, kept current from then on, and let go of for the reader who has not
// asked for longest. A thing without a cursor of the reader is unread (ST-30, ST-55).
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
/** Things that are looked at before others have their turn: about two milliseconds. */
const THINGS_A_TURN = 2000;

interface Split<Place, Row extends Place> {
  readonly unread: OrderedIndex<Place, Row>;
  readonly read: OrderedIndex<Place, Row>;
}

/** Lists of a reader on their way, and what has changed since they were begun. */
interface Making<Row> {
  readonly made: Promise<void>;
  readonly changes: { readonly row: Row; readonly isThere: boolean }[];
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The things of one kind that are not going on, by reader. */
export class Readers<Place, Row extends Place & Readable> {
  readonly #compare: Compare<Place>;
  /** All of them that stand after a place, in order. */
  readonly #all: (after: Place | undefined) => Walk<Row>;
  readonly #cursors = new Map<string, Map<string, number>>();
  readonly #splits = new Map<string, Split<Place, Row>>();
  readonly #making = new Map<string, Making<Row>>();

  constructor(compare: Compare<Place>, all: (after: Place | undefined) => Walk<Row>) {
    this.#compare = compare;
    this.#all = all;
  }

  /** The version that a reader has seen; 0: none. */
  seen(reader: string, id: string): number {
    return this.#cursors.get(reader)?.get(id) ?? 0;
  }

  /** Makes the lists of a reader who has none yet. Without it {@link of} does, and everybody waits for it. */
  async prepare(reader: string): Promise<void> {
    if (this.#splits.has(reader)) return;
    const under = this.#making.get(reader);
    if (under !== undefined) return under.made;
    const changes: Making<Row>['changes'] = [];
    const made = this.#makeInTurns(reader, changes).finally(() => this.#making.delete(reader));
    this.#making.set(reader, { made, changes });
    return made;
  }

  /** What a reader has and has not seen. */
  of(reader: string): Split<Place, Row> {
    let split = this.#splits.get(reader);
    if (split === undefined) {
      const pieces = this.#pieces(reader);
      let piece = pieces.next();
      while (piece.done !== true) piece = pieces.next();
      split = piece.value;
    }
    this.#keep(reader, split);
    return split;
  }

  add(row: Row): void {
    for (const [reader, split] of this.#splits) this.#sideOf(split, reader, row).add(row);
    for (const { changes } of this.#making.values()) changes.push({ row, isThere: true });
  }

  remove(row: Row): void {
    for (const [reader, split] of this.#splits) this.#sideOf(split, reader, row).remove(row);
    for (const { changes } of this.#making.values()) changes.push({ row, isThere: false });
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
    if (row === undefined) return;
    if (split !== undefined) this.#sideOf(split, reader, row).add(row);
    this.#making.get(reader)?.changes.push({ row, isThere: true });
  }

  #sideOf(split: Split<Place, Row>, reader: string, row: Row): OrderedIndex<Place, Row> {
    return this.seen(reader, row.id) < row.version ? split.unread : split.read;
  }

  /** Last in the order of the map is who asked last. */
  #keep(reader: string, split: Split<Place, Row>): void {
    this.#splits.delete(reader);
    this.#splits.set(reader, split);
    for (const [oldest] of this.#splits) {
      if (this.#splits.size <= MOST_READERS) break;
      this.#splits.delete(oldest);
    }
  }

  async #makeInTurns(reader: string, changes: Making<Row>['changes']): Promise<void> {
    const pieces = this.#pieces(reader);
    let piece = pieces.next();
    while (piece.done !== true) {
      await nextTurn();
      piece = pieces.next();
    }
    const split = piece.value;
    for (const { row, isThere } of changes) {
      split.unread.remove(row);
      split.read.remove(row);
      if (isThere) this.#sideOf(split, reader, row).add(row);
    }
    this.#keep(reader, split);
  }

  /** Things come in order, so nothing is sorted. What changes between two pieces is not followed. */
  *#pieces(reader: string): Generator<void, Split<Place, Row>> {
    const unread: Row[] = [];
    const read: Row[] = [];
    let walk = this.#all(undefined);
    for (let looked = 1; walk.row !== undefined; looked += 1) {
      const { row } = walk;
      (this.seen(reader, row.id) < row.version ? unread : read).push(row);
      if (looked % THINGS_A_TURN === 0) {
        yield;
        walk = this.#all(row);
      } else walk.advance();
    }
    const split = {
      unread: createOrderedIndex<Place, Row>(this.#compare),
      read: createOrderedIndex<Place, Row>(this.#compare),
    };
    split.unread.refill(unread);
    split.read.refill(read);
    return split;
  }
}
