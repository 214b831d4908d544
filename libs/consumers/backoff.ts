// How long to wait before the next try. Pure: chance comes in as a number.

export interface BackoffPolicy {
  /** Upper end of the first wait. */
  readonly baseMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
}

/** The wait before try `failures + 1`: uniform in the upper half of min(maxMs, baseMs · 2^(failures − 1)), so that a herd spreads. */
export const backoffDelayMs = (policy: BackoffPolicy, failures: number, random: number): number => {
  // 2^30 is beyond any sensible maximum; the bound keeps the power finite for a work that fails for days.
  const cap = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30));
  return Math.round(cap / 2 + (cap / 2) * random);
};
