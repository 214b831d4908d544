// When the next step of the mail loop is due. Pure; all in ms.

/** A short while in which what comes together is put together. */
const GATHER_MS = 200;
/** So long mail waits for a turn under way to end, so that it joins what comes meanwhile. */
const PATIENCE_MS = 30_000;
const ASK_FIRST_MS = 500;
const ASK_MOST_MS = 10_000;
const AFTER_FAILURE_MS = 1000;
const AFTER_FAILURE_MOST_MS = 300_000;

const doubled = (firstMs: number, times: number, mostMs: number): number =>
  Math.min(mostMs, firstMs * 2 ** Math.min(times, 30));

/** Until the run of a batch is asked for again: nobody answered, or the run has not started yet. `asked`: times so far. */
export const askAgainInMs = (asked: number): number =>
  doubled(ASK_FIRST_MS, Math.max(0, asked - 1), ASK_MOST_MS);

/** Until a batch is made of messages whose last `failures` batches never started. */
export const afterFailureMs = (failures: number): number =>
  failures === 0 ? 0 : doubled(AFTER_FAILURE_MS, failures - 1, AFTER_FAILURE_MOST_MS);

/** Until a batch is due; 0: now. */
export const batchInMs = (
  oldest: { readonly waitedMs: number; readonly isUrgent: boolean },
  isBusy: boolean,
): number => {
  // A wall clock that was set back must not hold up anything.
  if (oldest.waitedMs < 0) return 0;
  const mostMs = isBusy && !oldest.isUrgent ? PATIENCE_MS : GATHER_MS;
  return Math.max(0, mostMs - oldest.waitedMs);
};
