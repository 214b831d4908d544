// The life of an operating-system process around its services: signals, crashes, exit codes. What `services/main.mjs` calls.
//   running   first SIGTERM or SIGINT → draining; a crash or a broken invariant → exit 70 at once
//   draining  drained → exit 0, or 75 when something was late; a second signal → exit 143 or 130 at once
import { configSources } from '#libs/config/sources.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import type { ProcessControl, StopSignal } from '#libs/system/process-control.ts';
import { systemProcess } from '#libs/system/process-control.ts';
import { readBuildFacts, watchEventLoop } from '#libs/system/process-facts.ts';
import { createLogger, type Logger, type LogSink } from '#libs/telemetry/logger.ts';
import type { ProcessPlan } from './process-plan.ts';
import { startProcess, type StartedProcess } from './start-process.ts';

/** Why the process ended, as others see it (the numbers are those of sysexits.h and of shells). */
const exitCodes = {
  drained: 0,
  /** A crash, a broken invariant, or a fault at start that trying again cannot heal. */
  broken: 70,
  /** Something did not stop within its deadline. */
  late: 75,
  /** The configuration has mistakes. */
  config: 78,
  SIGINT: 130,
  SIGTERM: 143,
} as const;

/** Waits for the end of a process whose parts are given; see {@link runProcess}. */
export const superviseProcess = async (
  starting: Promise<StartedProcess>,
  control: ProcessControl,
  early: Logger,
): Promise<void> => {
  let logger = early;
  let draining = false;

  const drainThenExit = async (signal: StopSignal): Promise<void> => {
    const started = await starting;
    logger.info('draining; a second signal ends the process at once', { signal });
    const { late, tookMs } = await started.drain();
    if (late.length === 0) logger.info('drained', { tookMs });
    else logger.error('drained, but not everything stopped in time', { late, tookMs });
    control.exit(late.length === 0 ? exitCodes.drained : exitCodes.late);
  };

  control.onSignal((signal) => {
    if (draining) {
      logger.warn('second signal: ending at once', { signal });
      control.exit(exitCodes[signal]);
      return;
    }
    draining = true;
    // A start that failed has ended the process below.
    drainThenExit(signal).catch(() => undefined);
  });
  control.onCrash((kind, error) => {
    logger.fatal('the process crashed', { kind, error });
    control.exit(exitCodes.broken);
  });

  try {
    const started = await starting;
    logger = started.logger;
    await started.failed;
    control.exit(exitCodes.broken);
  } catch (error) {
    const fault = toFault(error);
    logger.fatal(fault.message, { code: fault.code });
    control.exit(fault.code === 'CONFIG_INVALID' ? exitCodes.config : exitCodes.broken);
  }
};

/** What a program says of its process; the rest is the machine's. */
export interface Program extends Pick<
  ProcessPlan,
  'services' | 'elsewhere' | 'unread' | 'wire' | 'alsoKnown'
> {
  /** Parsed flags by camelCase name. */
  readonly options?: Readonly<Record<string, unknown>>;
  readonly logSink?: LogSink;
}

/** Runs the services of a program in this process until it ends; it exits the process and does not return before. */
export const runProcess = (program: Program): Promise<void> => {
  const { options = {}, ...rest } = program;
  const eventLoop = watchEventLoop();
  const early = createLogger({ level: 'info', format: 'auto', clock: systemClock });
  const starting = (async () =>
    startProcess({
      ...rest,
      sources: configSources(options, readEnvironment()),
      build: readBuildFacts(),
      clock: systemClock,
      ids: systemIds,
      lagMs: () => eventLoop.lagMs(),
    }))();
  return superviseProcess(starting, systemProcess, early);
};
