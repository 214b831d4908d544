// How long to wait before the next try. Pure: chance comes in as a number.

/** No wait is longer. */
const MAX_WAIT_MS = 60_000;
/** Refusals of one record before it is parked. */
export const MAX_ATTEMPTS = 12;

/** Uniform in the upper half of min(60 s, `baseMs` · 2^(failures − 1)), whole ms. */
const waitMs = (baseMs: number, failures: number, random: number): number => {
  const cap = Math.min(MAX_WAIT_MS, baseMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30));
  return Math.round(cap / 2 + (cap / 2) * random);
};

/** The wait after the `attempts`-th refusal of a record: 0.5 to 1 s, doubling up to 30 to 60 s. */
export const refusedWaitMs = (attempts: number, random: number): number => waitMs(1000, attempts, random);

/** The wait after `failures` failures in a row to reach the other side: 125 to 250 ms, doubling up to 30 to 60 s. */
export const unreachableWaitMs = (failures: number, random: number): number => waitMs(250, failures, random);
