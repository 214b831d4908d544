// One page of a list of few items (policies, managed agents) in its order, in one pass over them. What may be many has an index instead
// (time-index.ts, session-index.ts, task-index.ts).

export interface ListPage<Item> {
  readonly items: readonly Item[];
  /** Give it back to get the next page; null: this was the last. */
  readonly next: string | null;
}

/** How a list is ordered, and how a place in it is written. */
export interface ListOrder<Position> {
  readonly isBefore: (a: Position, b: Position) => boolean;
  readonly format: (position: Position) => string;
}

interface PageOptions<Position> {
  readonly after?: Position | undefined;
  readonly limit: number;
}

/** The `limit` items that come first after `after` in an order. */
export const pageIn = <Item, Position>(
  order: ListOrder<Position>,
  items: Iterable<Item>,
  positionOf: (item: Item) => Position,
  { after, limit }: PageOptions<Position>,
): ListPage<Item> => {
  // One more than asked for tells whether there is a next page.
  const top: { readonly item: Item; readonly position: Position }[] = [];
  for (const item of items) {
    const position = positionOf(item);
    if (after !== undefined && !order.isBefore(after, position)) continue;
    const last = top.at(-1);
    if (top.length > limit && last !== undefined && !order.isBefore(position, last.position)) continue;
    let low = 0;
    let high = top.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = top[middle];
      if (other !== undefined && order.isBefore(other.position, position)) low = middle + 1;
      else high = middle;
    }
    top.splice(low, 0, { item, position });
    if (top.length > limit + 1) top.pop();
  }
  const shown = top.slice(0, limit);
  const end = shown.at(-1);
  return {
    items: shown.map(({ item }) => item),
    next: top.length > limit && end !== undefined ? order.format(end.position) : null,
  };
};
