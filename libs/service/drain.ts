// The orderly end: stops what was started, last first, each within a deadline; says what it waits for and what was late.
// Does not exit and hears no signals (see run-process.ts). Late work is left alone, not killed: its entries come again elsewhere.
import type { Clock } from '#libs/ports/clock.ts';
import type { Logger } from '#libs/telemetry/logger.ts';

/** Something to stop. */
export interface Drainable {
  readonly name: string;
  stop(): Promise<void>;
  /** What `stop` still waits for, for the log. */
  waitingFor(): readonly string[];
}

export interface DrainReport {
  /** Names of those that did not stop in time or failed to stop, in the order in which they were tried. */
  readonly late: readonly string[];
  readonly tookMs: number;
}

interface DrainTools {
  readonly clock: Clock;
  readonly logger: Logger;
  /** For each. */
  readonly deadlineMs: number;
}

type StopOutcome =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'late' }
  | { readonly kind: 'failed'; readonly error: unknown };

/** Resolves with what happened first: stopped, failed to stop, or the deadline. */
const stopWithin = (item: Drainable, { clock, deadlineMs }: DrainTools): Promise<StopOutcome> =>
  new Promise((resolve) => {
    const cancel = clock.timer(deadlineMs, () => resolve({ kind: 'late' }), { keepAlive: true });
    const settle = (outcome: StopOutcome): void => {
      cancel();
      resolve(outcome);
    };
    item.stop().then(
      () => settle({ kind: 'stopped' }),
      (error: unknown) => settle({ kind: 'failed', error }),
    );
  });

const stopOne = async (item: Drainable, tools: DrainTools): Promise<boolean> => {
  const { clock, logger, deadlineMs } = tools;
  const startedMs = clock.monotonicMs();
  const stopping = stopWithin(item, tools);
  logger.info('stopping', { what: item.name, waitingFor: item.waitingFor() });
  const outcome = await stopping;
  const tookMs = Math.round(clock.monotonicMs() - startedMs);
  if (outcome.kind === 'stopped') logger.info('stopped', { what: item.name, tookMs });
  else if (outcome.kind === 'failed') {
    logger.error('failed to stop', { what: item.name, tookMs, error: outcome.error });
  } else {
    logger.error('did not stop in time', { what: item.name, deadlineMs, waitingFor: item.waitingFor() });
  }
  return outcome.kind === 'stopped';
};

/** Stops all, last first. Never rejects. */
export const drain = async (started: readonly Drainable[], tools: DrainTools): Promise<DrainReport> => {
  const startedMs = tools.clock.monotonicMs();
  const late: string[] = [];
  for (const item of started.toReversed()) {
    if (!(await stopOne(item, tools))) late.push(item.name);
  }
  return { late, tookMs: Math.round(tools.clock.monotonicMs() - startedMs) };
};
