// The order of last changes: what a mirror follows. Complete only up to the position of the projection, because the keys of one batch are
// written in no order.
import { createOrderedIndex, type OrderedIndex } from '#libs/projections/ordered-index.ts';

interface Changed {
  readonly seq: number;
  readonly id: string;
}

/** After one sequence, up to another. */
export interface ChangeRange {
  readonly after: number;
  readonly upTo: number;
}

/** An empty index by last change, oldest first. */
export const createChangeOrder = <Row extends Changed>(): OrderedIndex<Changed, Row> =>
  createOrderedIndex<Changed, Row>((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : Number(a.id > b.id)));

/** The place after everything that has changed last at a sequence: no id stands after `~`. */
const afterChange = (seq: number): Changed => ({ seq, id: '~' });

/** Rows that are looked at for one page at most: about a millisecond. */
const MOST_LOOKED_AT = 10_000;

export interface ChangePage<Row> {
  readonly rows: readonly Row[];
  /** Everything up to here was looked at, wanted or not (WK-48). */
  readonly after: number;
  readonly hasMore: boolean;
}

/** The next changes that are wanted; fewer than `limit`, perhaps none, where there is much else between them. */
export const changesAfter = <Row extends Changed>(
  order: OrderedIndex<Changed, Row>,
  { after, upTo }: ChangeRange,
  limit: number,
  isWanted: (row: Row) => boolean = () => true,
): ChangePage<Row> => {
  const rows: Row[] = [];
  let reached = after;
  let looked = 0;
  for (const walk = order.walk(afterChange(after)); ; walk.advance()) {
    const { row } = walk;
    if (row === undefined || row.seq > upTo) return { rows, after: Math.max(after, upTo), hasMore: false };
    const isAnother = isWanted(row);
    if (looked === MOST_LOOKED_AT || (isAnother && rows.length === limit))
      return { rows, after: reached, hasMore: true };
    looked += 1;
    reached = row.seq;
    if (isAnother) rows.push(row);
  }
};
