// How fast agents are started by one instance: a start each so many milliseconds, with a few at once. A start that comes too soon is told
// how long to wait; it is put off by a timer, so that nothing else waits for it. Every start put off has a place of its own in time.
export interface StartPace {
  /** Milliseconds until the start may be made; 0: now. A wait reserves nothing: it only spreads those that come back. */
  take(now: number): number;
}

/** `perSecond` starts in the long run, `burst` of them at once. */
export const createStartPace = ({
  perSecond,
  burst,
}: {
  readonly perSecond: number;
  readonly burst: number;
}): StartPace => {
  const everyMs = 1000 / perSecond;
  /** When the budget is whole again. */
  let fullAt = 0;
  /** Where the next one that has to wait is put. */
  let nextSlotAt = 0;
  return {
    take: (now) => {
      const startAt = Math.max(fullAt, now - 1);
      if (startAt - now <= everyMs * (burst - 1)) {
        fullAt = Math.max(startAt, now) + everyMs;
        return 0;
      }
      nextSlotAt = Math.max(nextSlotAt, now + everyMs) + everyMs;
      return Math.ceil(nextSlotAt - now);
    },
  };
};
