// Which cost a result line of Claude Code speaks of, by the version that printed it. Pure. `total_cost_usd` was measured to be of the
// whole conversation (also over a resume) in 2.1.329, and of the process alone in 2.1.197.
const PROCESS_UP_TO = [2, 1, 197] as const;
const CONVERSATION_FROM = [2, 1, 329] as const;

/** What `total_cost_usd` counts; `unknown`: of a version that lies between the measured ones. */
export type CostScope = 'conversation' | 'process' | 'unknown';

const compare = (one: readonly number[], other: readonly number[]): number => {
  for (const [at, part] of other.entries()) {
    const difference = (one[at] ?? 0) - part;
    if (difference !== 0) return difference;
  }
  return 0;
};

/** Without a version the newest measured behaviour is assumed. */
export const costScope = (version: string | undefined): CostScope => {
  const parts = /^(\d+)\.(\d+)\.(\d+)/.exec(version ?? '');
  if (parts === null) return 'conversation';
  const numbers = parts.slice(1).map(Number);
  if (compare(numbers, CONVERSATION_FROM) >= 0) return 'conversation';
  return compare(numbers, PROCESS_UP_TO) <= 0 ? 'process' : 'unknown';
};

/** Dollars as whole millionths. */
export const microUsd = (usd: number): number => Math.max(0, Math.round(usd * 1_000_000));
