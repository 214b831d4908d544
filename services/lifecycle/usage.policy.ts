// What an agent has used within the window of its limits, and when it is below them again. Pure.
import type { PolicyEvidence } from '#streams/policy-commands.ts';

/** A turn that ended. */
export interface UsedTurn {
  /** Epoch ms. */
  readonly at: number;
  readonly costMicroUsd: number;
}

/** 0: no limit. */
interface Limits {
  readonly windowMs: number;
  readonly runs: number;
  readonly spendMicroUsd: number;
}

/** Sums up; `turns` oldest first. `freeAt`: when so many of the oldest have left the window that neither limit is reached; 0: now. */
export const usageOf = (turns: readonly UsedTurn[], limits: Limits): NonNullable<PolicyEvidence['usage']> => {
  const spendMicroUsd = turns.reduce((sum, { costMicroUsd }) => sum + costMicroUsd, 0);
  let [runsLeft, spendLeft, freeAt] = [turns.length, spendMicroUsd, 0];
  const isReached = (): boolean =>
    (limits.runs > 0 && runsLeft >= limits.runs) ||
    (limits.spendMicroUsd > 0 && spendLeft >= limits.spendMicroUsd);
  for (const { at, costMicroUsd } of turns) {
    if (!isReached()) break;
    runsLeft -= 1;
    spendLeft -= costMicroUsd;
    freeAt = at + limits.windowMs;
  }
  return { runs: turns.length, spendMicroUsd, freeAt };
};
