// The one order in which waiting tasks are handed over: higher priority first, then first come. Positions follow from it. Pure.

/** Where a waiting task stands. */
export interface TaskRank {
  readonly priority: number;
  /** Sequence of the transition that put it in the queue. */
  readonly queuedSeq: number;
}

/** Negative when `a` goes before `b`. No two tasks rank the same: sequences are unique. */
export const compareRank = (a: TaskRank, b: TaskRank): number =>
  b.priority - a.priority || a.queuedSeq - b.queuedSeq;
