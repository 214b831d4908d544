// What readers have not seen of things that are not going on: for each reader who asks, the unread and the read ones, each in order. Made
// when a reader first asks, in pieces between which others are answered, kept current from then on, and let go of for the reader who has not
// asked for longest. A thing without a cursor of the reader is unread (ST-30, ST-55).
import {
  createOrderedIndex,
  type Compare,
  type OrderedIndex,
  type Walk,
} from '#libs/projections/ordered-index.ts';
import { nextTurn } from '#libs/service/next-turn.ts';

/** What of a thing counts here. */
export interface Readable {
  readonly id: string;
  /** What a reader may have seen. */
  readonly version: number;
}

/** Readers whose lists are kept at the same time, of things of every kind. */
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

/** What readers have seen: the version of each thing, by reader. */
export class SeenVersions<Place, Row extends Place & Readable> {
  readonly #readers = new Map<string, Map<string, number>>();

  /** 0: nothing of it. */
  of(reader: string, id: string): number {
    return this.#readers.get(reader)?.get(id) ?? 0;
  }

  /** A reader's cursor over a thing has moved, or is gone (0). `row`: the thing, if it is not going on; `lists`: all that it is in. */
  move(
    { reader, id, version }: { readonly reader: string; readonly id: string; readonly version: number },
    row: Row | undefined,
    lists: readonly Readers<Place, Row>[],
  ): void {
    if (row !== undefined) for (const one of lists) one.takeOut(reader, row);
    const versions = this.#readers.get(reader) ?? new Map<string, number>();
    if (version > 0) versions.set(id, version);
    else versions.delete(id);
    if (versions.size > 0) this.#readers.set(reader, versions);
    else this.#readers.delete(reader);
    if (row !== undefined) for (const one of lists) one.putBack(reader, row);
  }
}

/** Things that are not going on, by reader. */
export class Readers<Place, Row extends Place & Readable> {
  readonly #compare: Compare<Place>;
  /** All of them that stand after a place, in order. */
  readonly #all: (after: Place | undefined) => Walk<Row>;
  readonly #seen: SeenVersions<Place, Row>;
  readonly #most: number;
  readonly #splits = new Map<string, Split<Place, Row>>();
  readonly #making = new Map<string, Making<Row>>();

  /** `seen` is shared by all lists that a thing may be in; `most`: readers whose lists are kept at the same time. */
  constructor(
    compare: Compare<Place>,
    seen: SeenVersions<Place, Row>,
    {
      all,
      most = MOST_READERS,
    }: { readonly all: (after: Place | undefined) => Walk<Row>; readonly most?: number },
  ) {
    this.#compare = compare;
    this.#seen = seen;
    this.#all = all;
    this.#most = most;
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

  /** What a reader has seen of it is about to change. */
  takeOut(reader: string, row: Row): void {
    const split = this.#splits.get(reader);
    if (split !== undefined) this.#sideOf(split, reader, row).remove(row);
  }

  /** What a reader has seen of it has changed. */
  putBack(reader: string, row: Row): void {
    const split = this.#splits.get(reader);
    if (split !== undefined) this.#sideOf(split, reader, row).add(row);
    this.#making.get(reader)?.changes.push({ row, isThere: true });
  }

  #sideOf(split: Split<Place, Row>, reader: string, row: Row): OrderedIndex<Place, Row> {
    return this.#seen.of(reader, row.id) < row.version ? split.unread : split.read;
  }

  /** Last in the order of the map is who asked last. */
  #keep(reader: string, split: Split<Place, Row>): void {
    this.#splits.delete(reader);
    this.#splits.set(reader, split);
    for (const [oldest] of this.#splits) {
      if (this.#splits.size <= this.#most) break;
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
      (this.#seen.of(reader, row.id) < row.version ? unread : read).push(row);
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
