// Bounds the part of the engine's heap where everything is born. Left alone it grows to 128 MB and stays, which a process that reads much at its start
// then holds for ever, without being any faster for it. The engine takes a limit on the command line only; how fast the part grows can be said at
// any time: not at all, once it is large enough.
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Both halves together: what lives longer than 16 MB of newer things is copied on to the old ones. */
const MOST_BYTES = 32 * 1024 * 1024;
/** As the engine has it. */
const GROWTH = 2;

/** What a process may have that is one of many on its machine: at rest it needs a quarter of it. */
const MOST_OF_MANY_BYTES = 8 * 1024 * 1024;
/** By then a process has loaded what it consists of, which makes much that stays: a young generation that grew with it would stay large. */
const LOADED_AFTER_MS = 3000;

const allowGrowth = (factor: number): void => setFlagsFromString(`--semi-space-growth-factor=${factor}`);

const keepWithin = (mostBytes: number): void => {
  let growth = GROWTH;
  const look = (): void => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    // It may have been shrunk meanwhile, when the process had nothing to do.
    const next = (young?.space_size ?? 0) >= mostBytes ? 1 : GROWTH;
    if (next === growth) return;
    growth = next;
    allowGrowth(growth);
  };
  new PerformanceObserver(look).observe({ entryTypes: ['gc'] });
};

/** Keeps the young generation within 32 MB from now on, after what it has already. Does not keep the process alive; never fails. */
export const boundYoungGeneration = (): void => keepWithin(MOST_BYTES);

/**
 * For a process of which a machine has many: its young generation stays as small as it is while it starts, and within 8 MB from then on. Starts
 * a little slower; spares 14 MB.
 */
export const keepYoungGenerationSmall = (): void => {
  allowGrowth(1);
  setTimeout(() => {
    allowGrowth(GROWTH);
    keepWithin(MOST_OF_MANY_BYTES);
  }, LOADED_AFTER_MS).unref();
};
