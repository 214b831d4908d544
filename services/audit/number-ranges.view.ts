// Sets of whole numbers as ascending inclusive ranges that do not touch: what a hole is made of. Pure; changes nothing it is given.

/** First and last number. */
export type NumberRange = readonly [number, number];

export const sizeOf = (ranges: readonly NumberRange[]): number =>
  ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);

/** Where a range is, or would be: the index of the first that ends at or after `value`. */
const indexOf = (ranges: readonly NumberRange[], value: number): number => {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[1] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** The index of the range that holds the number; -1: none does. */
export const indexHolding = (ranges: readonly NumberRange[], value: number): number => {
  const at = indexOf(ranges, value);
  const range = ranges[at];
  return range !== undefined && range[0] <= value ? at : -1;
};

/** What is left of a range without another: none, one or two pieces. */
export const without = ([first, last]: NumberRange, [from, to]: NumberRange): readonly NumberRange[] => {
  if (to < first || from > last) return [[first, last]];
  const pieces: NumberRange[] = [];
  if (from > first) pieces.push([first, from - 1]);
  if (to < last) pieces.push([to + 1, last]);
  return pieces;
};

/** What two ranges share. */
export const shared = ([a, b]: NumberRange, [c, d]: NumberRange): NumberRange | undefined => {
  const first = Math.max(a, c);
  const last = Math.min(b, d);
  return first <= last ? [first, last] : undefined;
};

/** With one range more; what touches becomes one. */
export const added = (ranges: readonly NumberRange[], [first, last]: NumberRange): readonly NumberRange[] => {
  const from = indexOf(ranges, first - 1);
  let to = from;
  let low = first;
  let high = last;
  for (let next = ranges[to]; next !== undefined && next[0] <= last + 1; next = ranges[to]) {
    low = Math.min(low, next[0]);
    high = Math.max(high, next[1]);
    to += 1;
  }
  return [...ranges.slice(0, from), [low, high], ...ranges.slice(to)];
};

/** Without the numbers of one range. */
export const removed = (ranges: readonly NumberRange[], range: NumberRange): readonly NumberRange[] =>
  ranges.flatMap((one) => without(one, range));
