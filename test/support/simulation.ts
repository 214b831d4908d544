// What a simulation is to whoever runs many of its lives (test/simulation/run.ts): lives under a seed, each with its verdict and its reach.
import type { ReachCounts } from './reach.ts';

/** `short`: as small as a life can be in which everything happens somewhere. `whole`: as in the suite. */
export type Size = 'short' | 'whole';

/** What became of one life. */
export interface Lived {
  /** What was broken, one line each; none: all laws hold. */
  readonly faults: readonly string[];
  /** Every transition in its order: the same seed gives the same record. */
  readonly record: readonly string[];
  readonly reach: ReachCounts;
}

export interface Simulation {
  /** Lives it to its end. The same seed and size are the same life. `onStep` is told of everything that happens, with its time. */
  live(seed: number, size: Size, options?: { readonly onStep?: (step: string) => void }): Promise<Lived>;
  /** By kind of {@link ReachCounts}: what many lives have to reach; what they did not is named. */
  readonly wanted: Readonly<Record<string, readonly string[]>>;
}
