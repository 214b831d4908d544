// Counters that a program keeps over a whole conversation, made into what one turn used. Pure.

/** The fields of usage that are counted. */
const FIELDS = ['inputTokens', 'cachedInputTokens', 'outputTokens', 'costMicroUsd'] as const;

/** Counters of a conversation, or what a turn used. */
export type Counters = { readonly [Field in (typeof FIELDS)[number]]?: number | undefined };
type Used = { -readonly [Field in keyof Counters]: number };

/**
 * What was used between `before` and `now`. A counter that is smaller than before began anew, so all of it counts. What a turn
 * without an end has used is part of the next difference: the sum over all turns is right.
 */
export const usedSince = (before: Counters, now: Counters): Used => {
  const used: Used = {};
  for (const field of FIELDS) {
    const [from, to] = [before[field] ?? 0, now[field]];
    if (to !== undefined) used[field] = to >= from ? to - from : to;
  }
  return used;
};

/** Both together. */
export const sumOf = (one: Counters, other: Counters): Used => {
  const sum: Used = {};
  for (const field of FIELDS) {
    const [first, second] = [one[field], other[field]];
    if (first !== undefined || second !== undefined) sum[field] = (first ?? 0) + (second ?? 0);
  }
  return sum;
};
