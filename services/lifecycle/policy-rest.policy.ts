// What follows for a policy of which nothing runs: a start, a wait for a host, or nothing. Pure.
import { accept, unchanged, type Decision } from '#libs/kernel/decider.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { StartCause } from '#streams/policy-causes.ts';
import type { HostChoice, PolicyCommand, SeenRunner } from '#streams/policy-commands.ts';
import { stoppedBy } from './policy-failure.policy.ts';
import { isForbidden, type Policy } from './policy-state.policy.ts';

type Tick = Extract<PolicyCommand, { readonly kind: 'tick' }>;
type TickDecision = Decision<PolicyEvent, never>;
type NoHost = Extract<HostChoice, { readonly kind: 'none' }>;

/** Why it is wanted; undefined: it is not. */
export const wantedBy = (policy: Policy, { evidence }: Pick<Tick, 'evidence'>): StartCause | undefined => {
  if (isForbidden(policy)) return undefined;
  const { restart, asked, config, isScheduleOpen, settledSeq, lastScheduledFor } = policy;
  if (restart !== null && (restart.isUnderWay || restart.cause === 'operator')) return 'restart';
  if (asked === 'running') return 'operator';
  if (config.mode === 'always-on') return 'always-on';
  if (config.mode === 'on-demand')
    return (evidence.mailSeq ?? 0) > settledSeq ? 'message-trigger' : undefined;
  const isDue = isScheduleOpen || (evidence.scheduledFor ?? 0) > lastScheduledFor;
  return config.mode === 'scheduled' && isDue ? 'scheduled' : undefined;
};

/** A runner of the agent that may be alive; what a start that is known to be over has announced does not count. */
const aliveOf = ({ over }: Policy, runner: SeenRunner | null | undefined): SeenRunner | null =>
  runner === undefined || runner === null || (runner.spawnId !== null && over.includes(runner.spawnId))
    ? null
    : runner;

const waitFor = (policy: Policy, { code, message }: NoHost, now: number): TickDecision => {
  if (policy.state === 'waiting-for-host' && policy.wait?.code === code) return unchanged;
  const event = { policy: policy.policy, decidedAt: now, code, message: message.slice(0, 500) };
  return accept({ type: 'fleetlog.policy.waiting-for-host.v1', ...event });
};

/** WK-71: a start that the record knows nothing of is alive. Its host is told once to end it; undefined: there is none. */
export const strayOf = (
  policy: Policy,
  seen: SeenRunner | null | undefined,
  now: number,
): TickDecision | undefined => {
  const runner = aliveOf(policy, seen);
  if (runner === null || runner.spawnId === null || runner.host === null) return undefined;
  const { spawnId, host } = runner;
  if (policy.stray === spawnId) return unchanged;
  const about = { policy: policy.policy, decidedAt: now, agent: policy.config.agent };
  return accept({ type: 'fleetlog.policy.stray-found.v1', ...about, spawnId, host });
};

/** Somebody runs the agent by hand. */
const takenBy = ({ config }: Policy, { runnerId }: SeenRunner): NoHost => ({
  kind: 'none',
  code: 'AGENT_TAKEN',
  message: `a runner of ${config.agent} is alive that no host has started (${runnerId}); end it, or give the policy another agent`,
});

const start = (
  { evidence, spawnId }: Tick,
  policy: Policy,
  { cause, host, now }: { readonly cause: StartCause; readonly host: string; readonly now: number },
): TickDecision =>
  accept({
    type: 'fleetlog.policy.starting.v1',
    policy: policy.policy,
    decidedAt: now,
    spawnId,
    agent: policy.config.agent,
    host,
    version: policy.version,
    cause: policy.state === 'backoff' ? 'backoff-expired' : cause,
    scheduledFor: cause === 'scheduled' ? (evidence.scheduledFor ?? null) : null,
    deadlineAt: now + policy.config.startTimeoutSeconds * 1000,
  });

/** LC-T1, T2, T14 to T18: from rest. Nothing is started beside a runner that is alive. */
export const decideAtRest = (command: Tick, policy: Policy, now: number): TickDecision => {
  const { runner: seen, hosts } = command.evidence;
  const { state, dueAt, limitedUntil } = policy;
  const stray = strayOf(policy, seen, now);
  if (stray !== undefined) return stray;
  if (isForbidden(policy)) return state === 'stopped' ? unchanged : stoppedBy(policy, 'not-wanted', now);
  // WK-69: whatever else is the case.
  if (state === 'backoff' && now < (dueAt ?? 0)) return unchanged;
  const cause = wantedBy(policy, command);
  if (cause === undefined || limitedUntil > now)
    return state === 'waiting-for-host' ? stoppedBy(policy, 'not-wanted', now) : unchanged;
  const runner = aliveOf(policy, seen);
  const choice = runner === null ? hosts : takenBy(policy, runner);
  if (choice === undefined) return unchanged;
  return choice.kind === 'none'
    ? waitFor(policy, choice, now)
    : start(command, policy, { cause, host: choice.host, now });
};
