// Time as a port. Real: libs/system/clock.ts. Manual: libs/memory/clock.ts (time moves only when a test says so).

/** Ends a timer; harmless when it has already rung or was ended before. */
export type CancelTimer = () => void;

export interface Clock {
  /** Wall time, epoch ms. May jump; use {@link monotonicMs} for durations and deadlines. */
  now(): number;
  /** Monotonic ms (fractional) from an arbitrary start. Never goes back. */
  monotonicMs(): number;
  /** How long this process has had nothing to do but wait, ms since some start. Absent: the clock cannot tell. */
  idleMs?(): number;
  /** Rings `callback` once after `delayMs`. A pending timer does not keep the process alive unless `keepAlive` is given. */
  timer(delayMs: number, callback: () => void, options?: { readonly keepAlive?: boolean }): CancelTimer;
  /** Resolves after `delayMs`, or at once when `signal` aborts (never rejects: look at the signal afterwards). Keeps the process alive. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/**
 * How long to wait so that all of a process who look at something every `everyMs` do so at the same moment: a service has dozens of them, and
 * each would wake it by itself. Between half and one and a half times `everyMs`.
 */
export const untilSharedMomentMs = (clock: Clock, everyMs: number): number => {
  const untilNextMs = everyMs - (clock.monotonicMs() % everyMs);
  return untilNextMs < everyMs / 2 ? untilNextMs + everyMs : untilNextMs;
};
