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
export const afterChange = (seq: number): Changed => ({ seq, id: '~' });
