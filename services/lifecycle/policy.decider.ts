// The rules of a policy: its configuration in versions, what people ask of it, and what follows from the facts. Pure.
// Guarantees: at most one start is under way, and the next begins only when the last is known to be over or its host was told to kill it;
// a wait after a failure is never cut short but by a reset; a transition is decided and announced once; a late registration moves nothing.
//
// stopped ─wanted→ starting ─registered→ running ─not wanted, idle, restart, limit→ stopping ─gone→ stopped
//    ↑  └─ no host → waiting-for-host ─host→ starting        │ gone                     └─ deadline → stop-escalated, again and again
//    │                     starting ─refused, ended, deadline→ backoff ─its time→ starting
//    └── reset ── failed ←─ too many crashes ────────────────────┘
import { accept, reject, unchanged, type Decider, type Decision } from '#libs/kernel/decider.ts';
import { changedFields } from '#streams/policy-diff.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { PolicyCommand } from '#streams/policy-commands.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import { decideExited, decideRefused } from './policy-failure.policy.ts';
import { evolvePolicy } from './policy-fold.policy.ts';
import { isLive, type Policy, type PolicyState } from './policy-state.policy.ts';
import { decideTick } from './policy-tick.policy.ts';

/** Refusals of a policy. */
export type PolicyRejection = Extract<RejectionCode, `POLICY_${string}`>;

type PolicyDecision = Decision<PolicyEvent, PolicyRejection>;
type CommandOf<Kind extends PolicyCommand['kind']> = Extract<PolicyCommand, { readonly kind: Kind }>;

const conflict = (policy: PolicyState, expectedVersion: number): PolicyDecision => {
  const version = policy === undefined || policy.isRemoved ? 0 : policy.version;
  const message =
    version === 0
      ? `there is no such policy any more; it was expected at version ${expectedVersion}`
      : `the policy is at version ${version}, not ${expectedVersion}: look at what has changed and apply again`;
  return reject('POLICY_VERSION_CONFLICT', message, { version, expectedVersion });
};

/** Of a policy that is not there, or was removed: 0. */
const currentVersion = (policy: PolicyState): number =>
  policy === undefined || policy.isRemoved ? 0 : policy.version;

const isStale = (policy: PolicyState, expected: number | null): expected is number =>
  expected !== null && expected !== currentVersion(policy);

const apply = (command: CommandOf<'apply'>, policy: PolicyState, now: number): PolicyDecision => {
  const { config, expectedVersion, note } = command;
  const before = policy === undefined || policy.isRemoved ? undefined : policy.config;
  const changed = changedFields(before, config);
  if (before !== undefined && changed.length === 0) return unchanged;
  if (isStale(policy, expectedVersion)) return conflict(policy, expectedVersion);
  return accept({
    type: 'fleetlog.policy.applied.v1',
    policy: command.policy,
    decidedAt: now,
    version: (policy?.version ?? 0) + 1,
    config,
    changed,
    rolledBackTo: null,
    note,
  });
};

const rollback = (command: CommandOf<'rollback'>, policy: Policy, now: number): PolicyDecision => {
  const { toVersion, expectedVersion, note } = command;
  const target = policy.versions.find(({ version }) => version === toVersion);
  if (target === undefined)
    return reject(
      'POLICY_VERSION_UNKNOWN',
      `version ${toVersion} is not among those kept (${policy.versions.map(({ version }) => version).join(', ')})`,
      {
        versions: policy.versions.map(({ version }) => version),
      },
    );
  const changed = changedFields(policy.isRemoved ? undefined : policy.config, target.config);
  if (!policy.isRemoved && changed.length === 0) return unchanged;
  if (isStale(policy, expectedVersion)) return conflict(policy, expectedVersion);
  return accept({
    type: 'fleetlog.policy.applied.v1',
    policy: policy.policy,
    decidedAt: now,
    version: policy.version + 1,
    config: target.config,
    changed,
    rolledBackTo: toVersion,
    note,
  });
};

const remove = (command: CommandOf<'remove'>, policy: Policy, now: number): PolicyDecision => {
  if (policy.isRemoved) return unchanged;
  const { expectedVersion, reason } = command;
  if (isStale(policy, expectedVersion)) return conflict(policy, expectedVersion);
  const { policy: name, version } = policy;
  return accept({
    type: 'fleetlog.policy.removed.v1',
    policy: name,
    decidedAt: now,
    reason,
    version: version + 1,
  });
};

const gone = ({ policy }: Policy): PolicyDecision =>
  reject('POLICY_REMOVED', `policy ${policy} was removed; apply it again`);

/** Why a person cannot have it run just by asking. */
const obstacle = (policy: Policy): PolicyDecision | undefined => {
  const { policy: name, config, isPaused, state } = policy;
  if (isPaused)
    return reject('POLICY_PAUSED', `policy ${name} is paused; resume it with: fleetlog resume ${name}`);
  if (config.mode === 'paused')
    return reject('POLICY_PAUSED', `policy ${name} has mode paused; apply it with another one`);
  if (state === 'failed')
    return reject(
      'POLICY_FAILED',
      `policy ${name} crashed too often; look with: fleetlog why ${name}; then: fleetlog policy reset ${name}`,
    );
  return undefined;
};

type Event = Extract<PolicyEvent, { readonly reason: string }>;
type Word = 'start' | 'stop' | 'pause' | 'resume' | 'reset';

/** Whether it is so already. */
const IS_SO: { readonly [Kind in Word]: (policy: Policy, now: number) => boolean } = {
  start: ({ asked }) => asked === 'running',
  stop: ({ asked }) => asked === 'stopped',
  pause: ({ isPaused }) => isPaused,
  resume: ({ isPaused }) => !isPaused,
  reset: ({ failures, limitedUntil, state }, now) =>
    failures === 0 && limitedUntil <= now && state !== 'failed',
};

const TYPE_OF = {
  start: 'fleetlog.policy.start-asked.v1',
  stop: 'fleetlog.policy.stop-asked.v1',
  pause: 'fleetlog.policy.paused.v1',
  resume: 'fleetlog.policy.resumed.v1',
  reset: 'fleetlog.policy.reset.v1',
} as const satisfies { readonly [Kind in Word]: Event['type'] };

const ask = ({ kind, reason }: CommandOf<Word>, policy: Policy, now: number): PolicyDecision => {
  if (policy.isRemoved) return kind === 'stop' || kind === 'pause' ? unchanged : gone(policy);
  const refused = kind === 'start' ? obstacle(policy) : undefined;
  if (refused !== undefined) return refused;
  if (IS_SO[kind](policy, now)) return unchanged;
  return accept({ type: TYPE_OF[kind], policy: policy.policy, decidedAt: now, reason });
};

const restart = (command: CommandOf<'restart'>, policy: Policy, now: number): PolicyDecision => {
  const { cause, idleMs, reason } = command;
  if (policy.isRemoved) return cause === 'operator' ? gone(policy) : unchanged;
  if (cause === 'operator') {
    const refused = obstacle(policy);
    if (refused !== undefined) return refused;
    // What is being started, or waits for it, is new already.
    if (policy.restart?.cause === 'operator' || policy.state === 'starting') return unchanged;
  } else if (policy.state !== 'running' || policy.restart !== null) return unchanged;
  return accept({
    type: 'fleetlog.policy.restart-asked.v1',
    policy: policy.policy,
    decidedAt: now,
    reason,
    cause,
    idleMs,
  });
};

type Decide<Kind extends PolicyCommand['kind']> = (
  command: CommandOf<Kind>,
  policy: Policy,
  now: number,
) => PolicyDecision;

const DECIDE: { readonly [Kind in Exclude<PolicyCommand['kind'], 'apply'>]: Decide<Kind> } = {
  rollback,
  remove,
  start: ask,
  stop: ask,
  pause: ask,
  resume: ask,
  reset: ask,
  restart,
  tick: decideTick,
  exited: (command, policy, now) =>
    isCurrent(command, policy) ? decideExited(command, policy, now) : unchanged,
  refused: (command, policy, now) =>
    isCurrent(command, policy) ? decideRefused(command, policy, now) : unchanged,
};

/** News of an earlier start change nothing. */
const isCurrent = ({ spawnId }: { readonly spawnId: string }, { spawn, state }: Policy): boolean =>
  isLive(state) && spawn?.spawnId === spawnId;

const decide = (
  command: PolicyCommand,
  policy: PolicyState,
  { now }: { readonly now: number },
): PolicyDecision => {
  if (command.kind === 'apply') return apply(command, policy, now);
  if (policy === undefined) return reject('POLICY_UNKNOWN', 'no policy has this name');
  // The table has the handler of each kind; the compiler cannot follow the pairing through a union.
  return (DECIDE[command.kind] as Decide<PolicyCommand['kind']>)(command, policy, now);
};

/** The decider of the policy aggregate; its contract is streams/policy.ts. */
export const policyDecider: Decider<PolicyCommand, PolicyEvent, PolicyState, PolicyRejection> = {
  initial: undefined,
  decide,
  evolve: evolvePolicy,
};
