// Bounds the part of the engine's heap where everything is born. Left alone it grows to 128 MB and stays, which a process that reads much at its start
// then holds for ever, without being any faster for it. The engine takes a limit on the command line only; how fast the part grows can be said at
// any time: not at all, once it is large enough.
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Both halves together: what lives longer than 16 MB of newer things is copied on to the old ones. */
const MOST_BYTES = 32 * 1024 * 1024;
/** As the engine has it. */
const GROWTH = 2;

/** Keeps the young generation within 32 MB from now on, after what it has already. Does not keep the process alive; never fails. */
export const boundYoungGeneration = (): void => {
  let growth = GROWTH;
  const look = (): void => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    // It may have been shrunk meanwhile, when the process had nothing to do.
    const next = (young?.space_size ?? 0) >= MOST_BYTES ? 1 : GROWTH;
    if (next === growth) return;
    growth = next;
    setFlagsFromString(`--semi-space-growth-factor=${growth}`);
  };
  new PerformanceObserver(look).observe({ entryTypes: ['gc'] });
};
