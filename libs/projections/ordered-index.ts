// Rows in one order, in memory: added and taken out in logarithmic time, read from any place on, ranked. Chunks of a few hundred rows in a
// list: eight bytes a row beyond the row itself. Rows are not copied, so what orders a row must not change while it is in here.
// Added rows are put in their places when the order is next looked at: many that come at once, such as all of a bucket, are then sorted
// once, which costs less than finding a place for each.

/** Negative when `a` stands before `b`; 0 only for the same place. */
export type Compare<Place> = (a: Place, b: Place) => number;

/** A reader's place in an order: `row` is the next one, undefined at the end. Good until the index changes. */
export interface Walk<Row> {
  readonly row: Row | undefined;
  advance(): void;
}

export interface OrderedIndex<Place, Row extends Place> {
  readonly size: number;
  /** Nothing, if a row is there already. */
  add(row: Row): void;
  /** These instead of what is there: they are in order, no two of one place. */
  refill(rows: readonly Row[]): void;
  /** The row at this place, if there is one. */
  remove(place: Place): void;
  /** The rows that stand after a place; all of them without one. */
  walk(after?: Place): Walk<Row>;
  /** How many rows stand before a place. */
  rank(place: Place): number;
  /** Puts what was added in its place now, so that the next reader does not wait for it. */
  sort(): void;
}

/** A chunk is split in two when it is larger. */
const MOST_IN_CHUNK = 512;
/** Rows of a chunk that is made by sorting: it has room for more. */
const SORTED_CHUNK = 384;
/** Fewer added rows than this, or than this part of what is there, find their places one by one. */
const LEAST_SORTED = 64;
const SORTED_PART = 1 / 8;

class ChunkWalk<Row> implements Walk<Row> {
  readonly #chunks: readonly (readonly Row[])[];
  #chunk: number;
  #at: number;
  row: Row | undefined;

  constructor(chunks: readonly (readonly Row[])[], chunk: number, at: number) {
    this.#chunks = chunks;
    this.#chunk = chunk;
    this.#at = at - 1;
    this.advance();
  }

  advance(): void {
    this.#at += 1;
    for (
      let chunk = this.#chunks[this.#chunk];
      chunk !== undefined;
      chunk = this.#chunks[(this.#chunk += 1)]
    ) {
      if (this.#at < chunk.length) {
        this.row = chunk[this.#at];
        return;
      }
      this.#at = 0;
    }
    this.row = undefined;
  }
}

/**
 * The places of numbers in their order, equal ones as they come: each with its place as one number, which the engine sorts without asking, an order of
 * magnitude sooner. Undefined: that would not be exact.
 */
const orderOf = (numbers: Float64Array): Uint32Array | undefined => {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const number of numbers) {
    if (!Number.isSafeInteger(number)) return undefined;
    if (number < least) least = number;
    if (number > most) most = number;
  }
  const count = numbers.length;
  if (!((most - least + 1) * count <= Number.MAX_SAFE_INTEGER)) return undefined;
  const codes = numbers.map((number, at) => (number - least) * count + at).sort();
  return Uint32Array.from(codes, (code) => code % count);
};

class Chunks<Place, Row extends Place> implements OrderedIndex<Place, Row> {
  readonly #compare: Compare<Place>;
  readonly #firstOf: ((row: Row) => number) | undefined;
  #chunks: Row[][] = [];
  #added: Row[] = [];
  #size = 0;

  constructor(compare: Compare<Place>, firstOf: ((row: Row) => number) | undefined) {
    this.#compare = compare;
    this.#firstOf = firstOf;
  }

  get size(): number {
    this.sort();
    return this.#size;
  }

  add(row: Row): void {
    this.#added.push(row);
  }

  sort(): void {
    const added = this.#added;
    if (added.length === 0) return;
    this.#added = [];
    if (added.length < Math.max(LEAST_SORTED, this.#size * SORTED_PART))
      for (const row of added) this.#insert(row);
    else this.#rebuild(added);
  }

  /** Behind what is there, so that of two rows of one place the first stays: sorting is stable. */
  #rebuild(added: Row[]): void {
    const rows = this.#chunks.length === 0 ? added : [...this.#chunks.flat(), ...added];
    this.#cut(this.#isOrdered(rows) ? rows : this.#once(this.#sorted(rows)));
  }

  #once(rows: readonly Row[]): readonly Row[] {
    let last: Row | undefined;
    return rows.filter((row) => {
      const isSame = last !== undefined && this.#compare(last, row) === 0;
      last = row;
      return !isSame;
    });
  }

  /** What has come in order, such as changes, is not sorted. */
  #isOrdered(rows: readonly Row[]): boolean {
    for (let at = 1; at < rows.length; at += 1) {
      const [last, row] = [rows[at - 1], rows[at]];
      if (last !== undefined && row !== undefined && this.#compare(last, row) >= 0) return false;
    }
    return true;
  }

  #sorted(rows: Row[]): readonly Row[] {
    const firsts = this.#firstOf === undefined ? undefined : Float64Array.from(rows, this.#firstOf);
    const order = firsts === undefined ? undefined : orderOf(firsts);
    if (firsts === undefined || order === undefined) return rows.sort(this.#compare);
    const sorted: Row[] = [];
    let same: Row[] = [];
    for (let at = 0; at < order.length; at += 1) {
      const row = rows[order[at] ?? 0];
      if (row === undefined) continue;
      if (at > 0 && firsts[order[at] ?? 0] !== firsts[order[at - 1] ?? 0]) {
        for (const one of same.sort(this.#compare)) sorted.push(one);
        same = [];
      }
      same.push(row);
    }
    for (const one of same.sort(this.#compare)) sorted.push(one);
    return sorted;
  }

  refill(rows: readonly Row[]): void {
    this.#added = [];
    this.#cut(rows);
  }

  #cut(rows: readonly Row[]): void {
    this.#size = rows.length;
    this.#chunks = [];
    for (let at = 0; at < rows.length; at += SORTED_CHUNK)
      this.#chunks.push(rows.slice(at, at + SORTED_CHUNK));
  }

  #insert(row: Row): void {
    const found = this.#find(row);
    if (found.isThere) return;
    this.#size += 1;
    const chunk = this.#chunks[found.chunk];
    if (chunk === undefined) {
      this.#chunks.push([row]);
      return;
    }
    chunk.splice(found.at, 0, row);
    if (chunk.length > MOST_IN_CHUNK)
      this.#chunks.splice(found.chunk + 1, 0, chunk.splice(chunk.length >> 1));
  }

  remove(place: Place): void {
    this.sort();
    const { chunk: number, at, isThere } = this.#find(place);
    const chunk = this.#chunks[number];
    if (!isThere || chunk === undefined) return;
    this.#size -= 1;
    chunk.splice(at, 1);
    if (chunk.length === 0) this.#chunks.splice(number, 1);
  }

  walk(after?: Place): Walk<Row> {
    this.sort();
    if (after === undefined) return new ChunkWalk(this.#chunks, 0, 0);
    const { chunk, at, isThere } = this.#find(after);
    return new ChunkWalk(this.#chunks, chunk, isThere ? at + 1 : at);
  }

  rank(place: Place): number {
    this.sort();
    const found = this.#find(place);
    let before = found.at;
    for (let number = 0; number < found.chunk; number += 1) before += this.#chunks[number]?.length ?? 0;
    return before;
  }

  /** Where a place is, or would be: a chunk's number and the index in it. */
  #find(place: Place): { readonly chunk: number; readonly at: number; readonly isThere: boolean } {
    const chunk = this.#chunkOf(place);
    const rows = this.#chunks[chunk] ?? [];
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const row = rows[middle];
      const order = row === undefined ? 1 : this.#compare(row, place);
      if (order === 0) return { chunk, at: middle, isThere: true };
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return { chunk, at: low, isThere: false };
  }

  /** The last chunk that does not begin after a place. */
  #chunkOf(place: Place): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const first = this.#chunks[middle]?.[0];
      if (first !== undefined && this.#compare(first, place) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** An empty index. `firstOf`: a number by which rows stand in order before all else, if there is one: many are sorted sooner by it. */
export const createOrderedIndex = <Place, Row extends Place>(
  compare: Compare<Place>,
  firstOf?: (row: Row) => number,
): OrderedIndex<Place, Row> => new Chunks<Place, Row>(compare, firstOf);
