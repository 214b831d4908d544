// Keeps a loop alive. States of a loop:
//   running      its `run` is in progress; the check is ok once it has run for `steadyMs` (at once the first time)
//   backing off  it ended or failed before the drain; the check is failing and says why; it runs again after a growing delay
//   ended        the signal was aborted and `run` has returned; final
// A fault of retry class `never` is tried again at the slowest pace: provisioning what is missing heals it without a restart.
// A broken invariant is not survived: it goes to `onFatal`, and the loop stays down while the process ends.
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import type { PushedCheck } from './checks.ts';
import type { Loop } from './context.ts';

/** Pace of the restarts. */
export const backoff = {
  firstMs: 250,
  slowestMs: 30_000,
  /** How long a restarted loop has to run before its check is ok again. */
  steadyMs: 2_000,
  /** How long it has to run before the next failure counts as the first. */
  forgottenMs: 60_000,
} as const;

/** The delay before restart number `attempt` (from 1), between half and all of an exponential step. */
export const backoffMs = (attempt: number, random: number): number => {
  const stepMs = Math.min(backoff.slowestMs, backoff.firstMs * 2 ** Math.min(attempt - 1, 16));
  return Math.round(stepMs * (0.5 + random / 2));
};

export interface SuperviseOptions {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly check: PushedCheck;
  readonly signal: AbortSignal;
  /** A broken invariant; the process must end. */
  onFatal(error: unknown): void;
  /** Called before each restart. */
  onRestart(): void;
}

/** Why a run was over before its time. */
interface Failure {
  readonly code: string;
  readonly reason: string;
  readonly isHopeless: boolean;
  readonly error?: unknown;
}

const endedEarly: Failure = {
  code: 'LOOP_ENDED',
  reason: 'it returned before the drain',
  isHopeless: false,
};

const runOnce = async (loop: Loop, signal: AbortSignal): Promise<Failure> => {
  try {
    await loop.run(signal);
    return endedEarly;
  } catch (error) {
    if (error instanceof InvariantBroken) throw error;
    const fault = toFault(error);
    return { code: fault.code, reason: fault.message, isHopeless: fault.retry === 'never', error };
  }
};

/** Runs the loop until the signal aborts and it has returned. Never rejects. */
export const supervise = async (loop: Loop, options: SuperviseOptions): Promise<void> => {
  const { clock, ids, logger, check, signal } = options;
  let attempt = 0;
  check.ok('running');
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs();
    const cancelSteady = clock.timer(backoff.steadyMs, () => check.ok('running'));
    let failure: Failure;
    try {
      failure = await runOnce(loop, signal);
    } catch (error) {
      check.failing('an invariant is broken');
      return options.onFatal(error);
    } finally {
      cancelSteady();
    }
    if (signal.aborted) {
      if (failure.error !== undefined) {
        logger.warn('loop failed while stopping', { loop: loop.name, error: failure.error });
      }
      return;
    }
    attempt = clock.monotonicMs() - startedMs >= backoff.forgottenMs ? 1 : attempt + 1;
    const waitMs = failure.isHopeless ? backoff.slowestMs : backoffMs(attempt, ids.random());
    check.failing(`${failure.code}: ${failure.reason}; restart ${attempt} after ${waitMs} ms`);
    logger[failure.isHopeless ? 'error' : 'warn']('loop is down and will be restarted', {
      loop: loop.name,
      code: failure.code,
      attempt,
      waitMs,
      error: failure.error,
    });
    await clock.sleep(waitMs, signal);
    options.onRestart();
  }
};
