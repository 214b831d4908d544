// One page of a list, newest first, in one pass over the items: as many comparisons as there are items, and no more memory
// than the page. The order key never changes, so following the cursor shows each item that stays exactly once.
import { formatListCursor, isBefore, type ListPosition } from './cursor.ts';

export interface ListPage<Item> {
  readonly items: readonly Item[];
  /** Give it back to get the next page; null: this was the last. */
  readonly next: string | null;
}

/** The `limit` items that come first after `after`. */
export const pageOf = <Item>(
  items: Iterable<Item>,
  positionOf: (item: Item) => ListPosition,
  { after, limit }: { readonly after?: ListPosition | undefined; readonly limit: number },
): ListPage<Item> => {
  // One more than asked for tells whether there is a next page.
  const top: { readonly item: Item; readonly position: ListPosition }[] = [];
  for (const item of items) {
    const position = positionOf(item);
    if (after !== undefined && !isBefore(after, position)) continue;
    const last = top.at(-1);
    if (top.length > limit && last !== undefined && !isBefore(position, last.position)) continue;
    let low = 0;
    let high = top.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = top[middle];
      if (other !== undefined && isBefore(other.position, position)) low = middle + 1;
      else high = middle;
    }
    top.splice(low, 0, { item, position });
    if (top.length > limit + 1) top.pop();
  }
  const shown = top.slice(0, limit);
  const end = shown.at(-1);
  return {
    items: shown.map(({ item }) => item),
    next: top.length > limit && end !== undefined ? formatListCursor(end.position) : null,
  };
};
