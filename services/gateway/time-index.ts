// Things that are listed by the time at which they began, newest first (runs, messages, approvals): by some property each, merged for a list,
// so that a filter by it costs nothing. Kept beside the view of their bucket. That time never changes.
import { createOrderedIndex, type OrderedIndex, type Walk } from '#libs/projections/ordered-index.ts';
import { mergeWalks, takeRows } from '#libs/projections/walks.ts';
import { formatListCursor, isBefore, type ListPosition } from './cursor.ts';

const compare = (a: ListPosition, b: ListPosition): number => {
  if (isBefore(a, b)) return -1;
  return Number(isBefore(b, a));
};

export interface TimePage<Row> {
  readonly rows: readonly Row[];
  /** Give it back to get the next page; null: this was the last. */
  readonly next: string | null;
}

/** Rows by the names of one property. */
export class TimeIndex<Row extends ListPosition> {
  readonly #nameOf: (row: Row) => string;
  readonly #byName = new Map<string, OrderedIndex<ListPosition, Row>>();

  constructor(nameOf: (row: Row) => string) {
    this.#nameOf = nameOf;
  }

  add(row: Row): void {
    const name = this.#nameOf(row);
    const index = this.#byName.get(name) ?? createOrderedIndex<ListPosition, Row>(compare);
    this.#byName.set(name, index);
    index.add(row);
  }

  remove(row: Row): void {
    const name = this.#nameOf(row);
    const index = this.#byName.get(name);
    index?.remove(row);
    if (index?.size === 0) this.#byName.delete(name);
  }

  /** Puts everything that has come in its place now: the first reader after a start would wait for it. */
  sort(): void {
    for (const index of this.#byName.values()) index.sort();
  }

  /** The newest that are wanted, after a place; `isNamed` chooses among the names. */
  page(
    { after, limit }: { readonly after?: ListPosition | undefined; readonly limit: number },
    isNamed: (name: string) => boolean,
    isWanted: (row: Row) => boolean,
  ): TimePage<Row> {
    const walks: Walk<Row>[] = [];
    for (const [name, index] of this.#byName) if (isNamed(name)) walks.push(index.walk(after));
    const { rows, hasMore } = takeRows([mergeWalks(compare, walks)], limit, isWanted);
    const last = rows.at(-1);
    return { rows, next: hasMore && last !== undefined ? formatListCursor(last) : null };
  }
}
