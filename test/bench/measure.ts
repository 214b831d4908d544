// Measuring on a machine that others use at the same time: ours and the floor take turns in short slices, so that both see the
// same noise, and what counts is the median. Knows nothing of what is measured.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What both sides measured, round by round. */
export interface Pairs {
  readonly ours: readonly number[];
  readonly floor: readonly number[];
}

/** One side's slice of a round: what it measured. */
type Slice = () => Promise<number>;

/** The value that `share` (0 to 1) of the samples do not exceed; NaN without samples. */
export const percentile = (samples: readonly number[], share: number): number => {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN;
};

export const median = (samples: readonly number[]): number => {
  const sorted = samples.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
};

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** One side must not pay for the garbage of the other. */
const rest = async (): Promise<void> => {
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, 20));
};

const WARM_UP_ROUNDS = 3;

/**
 * Runs both sides `rounds` times by turns, and changes who goes first in every round (A B, B A, A B …).
 * The rounds before these, in which code is compiled and caches fill, are not counted.
 */
export const interleave = async (rounds: number, ours: Slice, floor: Slice): Promise<Pairs> => {
  const pairs = { ours: [] as number[], floor: [] as number[] };
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order) {
      await rest();
      const measured = await (side === 'ours' ? ours : floor)();
      if (round >= 0) pairs[side].push(measured);
    }
  }
  return pairs;
};

/** Ms that `work` took. */
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
};

/** How many of `count` were done in a second. */
export const rate = async (count: number, work: () => Promise<unknown>): Promise<number> =>
  (count * 1000) / (await timed(work));

/** Ms of single operations, ours and the floor's by turns: `A B B A A B …`. The first `warmUp` of each are not counted. */
export const interleaveOperations = async (
  count: number,
  warmUp: number,
  sides: { readonly ours: (n: number) => Promise<void>; readonly floor: (n: number) => Promise<void> },
): Promise<Pairs> => {
  const pairs = { ours: [] as number[], floor: [] as number[] };
  for (let n = 0; n < count + warmUp; n += 1) {
    const order = n % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order) {
      const ms = await timed(() => sides[side](n));
      if (n >= warmUp) pairs[side].push(ms);
    }
  }
  return pairs;
};
