// Which notes about sessions are given up: those not used for too long, and the least recently used above a number. Pure.

export interface SessionUse {
  readonly sessionId: string;
  /** When a turn of it last said where it stands; epoch ms. */
  readonly usedAt: number;
}

export interface KeepRule {
  readonly keepMs: number;
  /** How many are kept at most, those in use not counted against it. */
  readonly keepCount: number;
}

/** The sessions whose notes can go; never one that a turn is in or waits for. A clock that was turned back keeps notes longer, never shorter. */
export const prunable = (
  sessions: readonly SessionUse[],
  { keepMs, keepCount }: KeepRule,
  now: number,
  inUse: ReadonlySet<string>,
): readonly string[] =>
  sessions
    .filter(({ sessionId }) => !inUse.has(sessionId))
    .toSorted((one, other) => other.usedAt - one.usedAt)
    .filter(({ usedAt }, at) => at >= keepCount || now - usedAt > keepMs)
    .map(({ sessionId }) => sessionId);
