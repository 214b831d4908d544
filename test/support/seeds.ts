// The seeds of the randomised suites: one fixed set that every run repeats, one fresh seed a run that is printed on
// failure, and `FLEETLOG_SEED` to run exactly one again.
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import type { Parameters } from 'fast-check';

const FIXED_SEEDS = [1, 2, 3, 5, 8] as const;

const freshSeed = (): number => Math.floor(systemIds.random() * 0x7fff_ffff);

const asked = (): number | undefined => {
  const text = readEnvironment()['FLEETLOG_SEED'];
  return text === undefined || text === '' ? undefined : Number.parseInt(text, 10);
};

/** The seeds to run a simulation with: those that are always run, and one that nobody has run before. */
export const simulationSeeds = (): readonly number[] => {
  const only = asked();
  return only === undefined ? [...FIXED_SEEDS, freshSeed()] : [only];
};

/** Many seeds for lives that are short: half of them the same in every run, half of them new. */
export const manySeeds = (count: number): readonly number[] => {
  const only = asked();
  if (only !== undefined) return [only];
  const half = Math.floor(count / 2);
  return Array.from({ length: count }, (_, at) => (at < half ? 1000 + at : freshSeed()));
};

/** Settings of a fast-check property; it prints its seed when it fails, and `FLEETLOG_SEED` repeats it. */
export const propertyRuns = <T>(numRuns: number): Parameters<T> => {
  const seed = asked();
  return seed === undefined ? { numRuns } : { numRuns, seed };
};
