// The seeds of the randomised suites. A plain run repeats the same ones, so that it judges the change and not its luck;
// `FLEETLOG_SEED=fresh` takes new ones, which are printed on failure, and `FLEETLOG_SEED=<number>` runs exactly one again.
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import type { Parameters } from 'fast-check';

const FIXED_SEEDS = [1, 2, 3, 5, 8] as const;
const PROPERTY_SEED = 20_260_713;
const FRESH = 'fresh';

const asked = (): string => readEnvironment()['FLEETLOG_SEED'] ?? '';

const drawn = (): number => Math.floor(systemIds.random() * 0x7fff_ffff);

/** The one seed that was asked for by its number. Throws on anything that is neither a number nor `fresh`. */
const only = (): number | undefined => {
  const text = asked();
  if (text === '' || text === FRESH) return undefined;
  if (!/^-?\d+$/.test(text)) throw new Error(`FLEETLOG_SEED is a number or "${FRESH}", not "${text}"`);
  return Number.parseInt(text, 10);
};

/** This one, or a new one where those are asked for. */
const fixedOrFresh = (fixed: number): number => (asked() === FRESH ? drawn() : fixed);

/** The seed of a test that has one: what was asked for, a new one, or this. */
export const oneSeed = (fixed: number): number => only() ?? fixedOrFresh(fixed);

/** The seeds to run a simulation with; of fresh ones as many. */
export const simulationSeeds = (): readonly number[] => {
  const seed = only();
  if (seed !== undefined) return [seed];
  return FIXED_SEEDS.map(fixedOrFresh);
};

/** Many seeds for lives that are short. */
export const manySeeds = (count: number): readonly number[] => {
  const seed = only();
  if (seed !== undefined) return [seed];
  return Array.from({ length: count }, (_, at) => fixedOrFresh(1000 + at));
};

/** Settings of a fast-check property; it prints its seed when it fails, and `FLEETLOG_SEED` repeats it. */
export const propertyRuns = <T>(numRuns: number): Parameters<T> => ({
  numRuns,
  seed: oneSeed(PROPERTY_SEED),
});
