// What the failure of a start or of an agent leads to: a wait by the schedule, or the breaker when it fails too often. Pure.
import { accept, type Decision } from '#libs/kernel/decider.ts';
import { OVER_MEMORY, SPAWN_REFUSALS } from '#streams/host-reports.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { FailureCause } from '#streams/policy-causes.ts';
import type { PolicyCommand } from '#streams/policy-commands.ts';
import { isCrash, isForbidden, windowMs, type Policy, type Spawn } from './policy-state.policy.ts';

type CommandOf<Kind extends PolicyCommand['kind']> = Extract<PolicyCommand, { readonly kind: Kind }>;

interface Failure {
  readonly cause: FailureCause;
  readonly code: string;
  readonly message: string;
  /** In [0, 1). */
  readonly chance: number;
}

/** ND-13. */
const EMPTY_SCHEDULE_S = 30;

/** LC-14: the wait after so many failures in a row before this one, less the part that is left to chance. */
export const backoffMs = (
  { scheduleSeconds, jitter }: { readonly scheduleSeconds: readonly number[]; readonly jitter: number },
  failuresBefore: number,
  chance: number,
): number => {
  const seconds = scheduleSeconds[Math.min(failuresBefore, scheduleSeconds.length - 1)] ?? EMPTY_SCHEDULE_S;
  return Math.round(seconds * 1000 * (1 - jitter * chance));
};

/** The end of a start that is not a failure. */
export const stoppedBy = (
  policy: Policy,
  how: Extract<PolicyEvent, { readonly type: 'fleetlog.policy.stopped.v1' }>['how'],
  now: number,
  exit: { readonly exitCode: number | null; readonly signal: string | null } = {
    exitCode: null,
    signal: null,
  },
): Decision<PolicyEvent, never> =>
  accept({
    type: 'fleetlog.policy.stopped.v1',
    policy: policy.policy,
    decidedAt: now,
    spawnId: policy.spawn?.spawnId ?? null,
    how,
    exitCode: exit.exitCode,
    signal: exit.signal,
    settledSeq: policy.settledSeq,
  });

/** Refusals by which a host says that asking again will not help. */
const isHopeless = (code: string): boolean =>
  code !== 'SPAWN_CANCELLED' &&
  code !== 'SPAWN_UNKNOWN' &&
  (SPAWN_REFUSALS as Readonly<Record<string, { readonly retry: string }>>)[code]?.retry === 'never';

/** LC-15: the start or agent failed. */
export const failedBy = (
  policy: Policy,
  { spawnId, host }: Spawn,
  { cause, code, message, chance }: Failure,
  now: number,
): Decision<PolicyEvent, never> => {
  if (isForbidden(policy)) return stoppedBy(policy, cause === 'refused' ? 'refused' : 'vanished', now);
  const { backoff, limits } = policy.config;
  const failures = policy.failures + 1;
  const event = {
    policy: policy.policy,
    decidedAt: now,
    spawnId,
    host,
    cause,
    code,
    message: message.slice(0, 2000),
    failures,
  };
  const window = windowMs(policy);
  const crashes = policy.crashes.filter((at) => at > now - window).length + (isCrash(cause, code) ? 1 : 0);
  const isTooOften = limits.restarts > 0 && crashes > limits.restarts;
  if (isTooOften || (cause === 'refused' && isHopeless(code)))
    return accept({ type: 'fleetlog.policy.failed.v1', ...event, windowMs: window });
  const delayMs = backoffMs(backoff, policy.failures, chance);
  return accept({ type: 'fleetlog.policy.backoff.v1', ...event, delayMs, until: now + delayMs });
};

const exitText = ({ exitCode, signal }: CommandOf<'exited'>): string => {
  if (signal === 'SIGKILL') return 'was killed (SIGKILL)';
  if (signal !== null) return `was ended by ${signal}`;
  return exitCode === null ? 'ended while nobody watched' : `ended with exit code ${exitCode}`;
};

/** What ended the process, in words for people. A killed one could not say why: what it had said before is told as that. */
const endText = (command: CommandOf<'exited'>): string => {
  const how = `the process ${exitText(command)}`;
  const words = command.lastWords.trim();
  const isFromOutside = command.signal === 'SIGKILL' && words !== OVER_MEMORY;
  if (!isFromOutside) return words === '' ? how : `${how}: ${words}`;
  const who = `${how}, by somebody or by the system when memory ran out`;
  return words === '' ? who : `${who}; its log ends with: ${words}`;
};

/** The process of the current start has ended. */
export const decideExited = (
  command: CommandOf<'exited'>,
  policy: Policy,
  now: number,
): Decision<PolicyEvent, never> => {
  const { spawn, state, config } = policy;
  const { exitCode, chance } = command;
  // The caller has looked: it is the current start.
  if (spawn === null || state === 'stopping') return stoppedBy(policy, 'exited', now, command);
  // It is wanted as before, and nothing is wrong with it.
  if (command.endedFor !== undefined) return stoppedBy(policy, command.endedFor, now, command);
  // What its calendar started has done its work.
  if (config.mode === 'scheduled' && exitCode === 0 && state === 'running')
    return stoppedBy(policy, 'exited', now, command);
  const code = exitCode === null ? 'EXITED' : `EXIT_${exitCode}`;
  return failedBy(policy, spawn, { cause: 'exited', code, message: endText(command), chance }, now);
};

/** The host will not do an instruction about the current start. */
export const decideRefused = (
  { code, message, chance }: CommandOf<'refused'>,
  policy: Policy,
  now: number,
): Decision<PolicyEvent, never> => {
  const { spawn, state } = policy;
  if (spawn === null || state === 'stopping') return stoppedBy(policy, 'refused', now);
  return failedBy(policy, spawn, { cause: 'refused', code, message, chance }, now);
};
