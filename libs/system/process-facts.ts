// Facts about this process: what build it is, and how late its event loop runs.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** What runs. */
export interface BuildFacts {
  /** Of package.json. */
  readonly version: string;
  /** Of the image or checkout, when known. */
  readonly commit?: string;
  /** `v24.1.0` */
  readonly node: string;
}

/** The build of this process; the commit is what `FLEETLOG_COMMIT` says. */
export const readBuildFacts = (): BuildFacts => {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const version: unknown =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : undefined;
  const commit = process.env['FLEETLOG_COMMIT'] ?? '';
  return {
    version: typeof version === 'string' ? version : '0.0.0',
    node: process.version,
    ...(commit === '' ? {} : { commit }),
  };
};

/** The longest delay of the event loop lately. */
export interface EventLoopWatch {
  /** The longest delay within the last 10 to 20 seconds, ms; less than it was by up to {@link LOOK_MS}. */
  lagMs(): number;
  stop(): void;
}

const windowMs = 10_000;
/** How often it is looked whether the loop is late. Each look wakes the process: with 20 ms that was half of what an idle one costs. */
const LOOK_MS = 250;

/** Starts measuring; does not keep the process alive. */
export const watchEventLoop = (): EventLoopWatch => {
  const histogram = monitorEventLoopDelay({ resolution: LOOK_MS });
  histogram.enable();
  let previousNs = 0;
  const roll = setInterval(() => {
    previousNs = histogram.max;
    histogram.reset();
  }, windowMs);
  roll.unref();
  return {
    // What is measured is the time from look to look.
    lagMs: () => Math.max(0, Math.max(previousNs, histogram.max) / 1e6 - LOOK_MS),
    stop: () => {
      clearInterval(roll);
      histogram.disable();
    },
  };
};
