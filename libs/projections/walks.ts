// What is made of walks through ordered indexes: several as one, and pages.
import type { Compare, Walk } from './ordered-index.ts';

/** Walks by their next rows, the least on top: a heap. */
class Merged<Place, Row extends Place> implements Walk<Row> {
  readonly #compare: Compare<Place>;
  readonly #heap: Walk<Row>[];

  constructor(compare: Compare<Place>, walks: readonly Walk<Row>[]) {
    this.#compare = compare;
    this.#heap = walks.filter(({ row }) => row !== undefined);
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at -= 1) this.#sink(at);
  }

  get row(): Row | undefined {
    return this.#heap[0]?.row;
  }

  advance(): void {
    const [top] = this.#heap;
    if (top === undefined) return;
    top.advance();
    if (top.row === undefined) {
      const last = this.#heap.pop();
      if (last === undefined || last === top) return;
      this.#heap[0] = last;
    }
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    for (let at = from; ;) {
      const left = 2 * at + 1;
      const least = this.#isBefore(left + 1, left) ? left + 1 : left;
      if (!this.#isBefore(least, at)) return;
      const [walk, other] = [heap[at], heap[least]];
      if (walk === undefined || other === undefined) return;
      heap[at] = other;
      heap[least] = walk;
      at = least;
    }
  }

  #isBefore(at: number, other: number): boolean {
    const row = this.#heap[at]?.row;
    const otherRow = this.#heap[other]?.row;
    return row !== undefined && otherRow !== undefined && this.#compare(row, otherRow) < 0;
  }
}

/** Several walks of one order as one: a row costs the logarithm of their number in comparisons. */
export const mergeWalks = <Place, Row extends Place>(
  compare: Compare<Place>,
  walks: readonly Walk<Row>[],
): Walk<Row> => {
  const [only] = walks;
  return only !== undefined && walks.length === 1 ? only : new Merged<Place, Row>(compare, walks);
};

/** The first `limit` rows of some walks, one walk after the other, that are wanted, and whether there is another one. */
export const takeRows = <Row>(
  walks: Iterable<Walk<Row>>,
  limit: number,
  isWanted: (row: Row) => boolean = () => true,
): { readonly rows: readonly Row[]; readonly hasMore: boolean } => {
  const rows: Row[] = [];
  for (const walk of walks)
    for (; walk.row !== undefined; walk.advance()) {
      if (!isWanted(walk.row)) continue;
      if (rows.length === limit) return { rows, hasMore: true };
      rows.push(walk.row);
    }
  return { rows, hasMore: false };
};
