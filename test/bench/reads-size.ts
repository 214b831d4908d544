// How much there is to read in the reads bench, and what it is called: known to whoever fills the buckets and to whoever asks for pages, which is a
// process of its own and loads nothing else.

/** Sessions, and as many tasks. */
export const COUNT = 100_000;

export const idOf = (prefix: string, n: number): string => `${prefix}_${String(n).padStart(26, '0')}`;
