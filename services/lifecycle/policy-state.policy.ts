// What a policy is, as folded from its history. Pure; the rules that make the history are in policy.decider.ts.
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyEvent, PolicyEventType } from '#streams/policy.ts';
import type { PolicyStateName, RestartCause } from '#streams/policy-causes.ts';

/** One start of the agent, until it is known to be over. */
export interface Spawn {
  readonly spawnId: string;
  readonly agent: string;
  readonly host: string;
  /** What it was started with. */
  readonly config: PolicyConfig;
  readonly version: number;
  readonly startedAt: number;
  /** When its runner announced itself; null: not yet. */
  readonly runningAt: number | null;
}

/** A restart that was asked for and is not done. */
interface PendingRestart {
  readonly cause: RestartCause;
  readonly idleMs: number;
  readonly reason: string;
  /** The agent is being stopped for it, or is stopped. */
  readonly isUnderWay: boolean;
}

/** What was done about a turn that does not go on. */
interface StuckStep {
  readonly step: 'report' | 'nudge' | 'interrupt';
  readonly kind: string;
  readonly turnId: string | null;
  readonly nextAt: number;
}

/** A policy as folded from its history; undefined before it was applied. */
export interface Policy {
  readonly policy: string;
  readonly state: PolicyStateName;
  readonly version: number;
  readonly config: PolicyConfig;
  /** The last versions, oldest first. */
  readonly versions: readonly { readonly version: number; readonly config: PolicyConfig }[];
  readonly isRemoved: boolean;
  readonly isPaused: boolean;
  /** What a person asked for last; null: the mode decides. */
  readonly asked: 'running' | 'stopped' | null;
  readonly restart: PendingRestart | null;
  readonly spawn: Spawn | null;
  /** In a row. */
  readonly failures: number;
  /** Times of crashes, oldest first; those within the window of the limits count. */
  readonly crashes: readonly number[];
  /** Of `starting`, `stopping`: by when something has to have happened; of `backoff`: not before. */
  readonly dueAt: number | null;
  readonly stopTries: number;
  /** Mail up to here does not wake it any more. */
  readonly settledSeq: number;
  readonly lastScheduledFor: number;
  /** A start by its calendar that has not ended well. */
  readonly isScheduleOpen: boolean;
  readonly limitedUntil: number;
  readonly stuck: StuckStep | null;
  readonly wait: { readonly code: string; readonly message: string } | null;
  /** The last start whose end is known for sure; what its runner has announced may be seen a little longer. */
  readonly over: string | null;
  /** The last start that was found alive beside the record. */
  readonly stray: string | null;
}
export type PolicyState = Policy | undefined;

/** Versions that can be gone back to. */
const KEPT_VERSIONS = 20;
const MOST_CRASHES = 1001;
/** WK-62: an update waits until the agent has been idle for so long. */
export const UPDATE_IDLE_MS = 60_000;

/** Fields whose change does not concern an agent that runs. */
const OF_THE_POLICY = new Set([
  'mode',
  'backoff',
  'keepAliveSeconds',
  'schedule',
  'dailyRestart',
  'restartOnUpdate',
  'startTimeoutSeconds',
  'stopTimeoutSeconds',
  'limits',
  'health',
  'notify',
  'tags',
]);

type Change = Exclude<PolicyEvent, { readonly type: 'fleetlog.policy.applied.v1' }>;
type EventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;

const rested = { spawn: null, dueAt: null, stopTries: 0, stuck: null, wait: null } as const;

const afterFailure = (
  policy: Policy,
  {
    decidedAt,
    failures,
    spawnId,
    cause,
    code,
  }: EventOf<'fleetlog.policy.backoff.v1'> | EventOf<'fleetlog.policy.failed.v1'>,
): Partial<Policy> => ({
  ...rested,
  failures,
  over: cause === 'exited' ? spawnId : policy.over,
  crashes: isCrash(cause, code)
    ? [...policy.crashes, decidedAt].filter((at) => at > decidedAt - windowMs(policy)).slice(-MOST_CRASHES)
    : policy.crashes,
});

/** The time that the limits of a policy count over. */
export const windowMs = ({ config }: Policy): number => config.limits.windowSeconds * 1000;

/** A host that cannot take it just now is no crash of the agent. */
export const isCrash = (cause: string, code: string): boolean =>
  cause !== 'refused' ||
  !(code.startsWith('HOST_') || code === 'COMMAND_EXPIRED' || code === 'AGENT_RUNNING');

const EVOLVE: {
  readonly [Type in Change['type']]: (policy: Policy, event: EventOf<Type>) => Partial<Policy>;
} = {
  'fleetlog.policy.removed.v1': (_policy, { version }) => ({ isRemoved: true, restart: null, version }),
  'fleetlog.policy.start-asked.v1': () => ({ asked: 'running' }),
  'fleetlog.policy.stop-asked.v1': () => ({ asked: 'stopped', restart: null, isScheduleOpen: false }),
  'fleetlog.policy.restart-asked.v1': (policy, { cause, idleMs, reason }) => ({
    restart: { cause, idleMs, reason, isUnderWay: false },
    ...(cause === 'operator' && policy.asked === 'stopped' && { asked: 'running' as const }),
  }),
  'fleetlog.policy.paused.v1': () => ({ isPaused: true, restart: null }),
  'fleetlog.policy.resumed.v1': () => ({ isPaused: false }),
  'fleetlog.policy.reset.v1': (policy) => ({
    failures: 0,
    crashes: [],
    limitedUntil: 0,
    ...(['failed', 'backoff'].includes(policy.state) && { state: 'stopped' as const, dueAt: null }),
  }),
  'fleetlog.policy.waiting-for-host.v1': (_policy, { code, message }) => ({
    state: 'waiting-for-host',
    dueAt: null,
    wait: { code, message },
  }),
  'fleetlog.policy.starting.v1': (
    policy,
    { spawnId, agent, host, version, decidedAt, deadlineAt, scheduledFor },
  ) => ({
    state: 'starting',
    spawn: { spawnId, agent, host, config: policy.config, version, startedAt: decidedAt, runningAt: null },
    dueAt: deadlineAt,
    wait: null,
    stuck: null,
    stopTries: 0,
    restart: policy.restart === null ? null : { ...policy.restart, isUnderWay: true },
    ...(scheduledFor !== null && { lastScheduledFor: scheduledFor, isScheduleOpen: true }),
  }),
  'fleetlog.policy.running.v1': (policy, { decidedAt }) => ({
    state: 'running',
    spawn: policy.spawn === null ? null : { ...policy.spawn, runningAt: decidedAt },
    dueAt: null,
    restart: isOutdated(policy) ? updateOf(policy) : null,
  }),
  'fleetlog.policy.healthy.v1': () => ({ failures: 0, crashes: [] }),
  'fleetlog.policy.stuck.v1': (_policy, { step, evidence, nextAt }) => ({
    stuck: { step, kind: evidence.kind, turnId: evidence.turnId, nextAt },
  }),
  'fleetlog.policy.unstuck.v1': () => ({ stuck: null }),
  'fleetlog.policy.stopping.v1': (policy, event) => ({
    state: 'stopping',
    dueAt: event.deadlineAt,
    stopTries: 0,
    stuck: null,
    settledSeq: event.settledSeq,
    limitedUntil: event.limitedUntil ?? policy.limitedUntil,
    restart: event.isRestart ? restartOf(policy, event) : null,
    ...(event.cause === 'idle-timeout' && { asked: null, isScheduleOpen: false }),
  }),
  'fleetlog.policy.stop-escalated.v1': (_policy, { tries, deadlineAt }) => ({
    stopTries: tries,
    dueAt: deadlineAt,
  }),
  'fleetlog.policy.stopped.v1': (policy, { how, settledSeq, spawnId }) => ({
    ...rested,
    state: 'stopped',
    settledSeq,
    over: how === 'exited' ? (spawnId ?? policy.over) : policy.over,
    ...(how === 'exited' && policy.state !== 'stopping' && { asked: null, isScheduleOpen: false }),
  }),
  'fleetlog.policy.backoff.v1': (policy, event) => ({
    ...afterFailure(policy, event),
    state: 'backoff',
    dueAt: event.until,
  }),
  'fleetlog.policy.failed.v1': (policy, event) => ({ ...afterFailure(policy, event), state: 'failed' }),
  'fleetlog.policy.stray-found.v1': (_policy, { spawnId }) => ({ stray: spawnId }),
};

const restartOf = (
  { restart }: Policy,
  { cause, reason }: EventOf<'fleetlog.policy.stopping.v1'>,
): PendingRestart => ({
  cause: cause === 'daily-restart' || cause === 'restart-on-update' || cause === 'stuck' ? cause : 'operator',
  idleMs: restart?.idleMs ?? 0,
  reason,
  isUnderWay: true,
});

const ofAgent = (config: PolicyConfig): string =>
  JSON.stringify(
    Object.entries(config)
      .filter(([name]) => !OF_THE_POLICY.has(name))
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );

/** The agent was started with another configuration than there is now, and is to follow it. */
const isOutdated = ({ spawn, config }: Policy): boolean =>
  config.restartOnUpdate &&
  spawn !== null &&
  spawn.config !== config &&
  ofAgent(spawn.config) !== ofAgent(config);

const updateOf = ({ version }: Policy): PendingRestart => ({
  cause: 'restart-on-update',
  idleMs: UPDATE_IDLE_MS,
  reason: `version ${version} of the policy`,
  isUnderWay: false,
});

const NEW: Omit<Policy, 'policy' | 'version' | 'config' | 'versions'> = {
  state: 'stopped',
  isRemoved: false,
  isPaused: false,
  asked: null,
  restart: null,
  ...rested,
  failures: 0,
  crashes: [],
  settledSeq: 0,
  lastScheduledFor: 0,
  isScheduleOpen: false,
  limitedUntil: 0,
  over: null,
  stray: null,
};

const applied = (before: PolicyState, event: EventOf<'fleetlog.policy.applied.v1'>): Policy => {
  const { policy, version, config, changed, decidedAt } = event;
  const versions = [...(before?.versions ?? []), { version, config }].slice(-KEPT_VERSIONS);
  // A calendar counts from when it was written.
  const isNewCalendar = before === undefined || before.isRemoved || changed.includes('schedule');
  const known = before ?? { ...NEW, policy, version, config, versions };
  const next = {
    ...known,
    version,
    config,
    versions,
    isRemoved: false,
    asked: known.isRemoved ? null : known.asked,
    lastScheduledFor: isNewCalendar ? Math.max(decidedAt, known.lastScheduledFor) : known.lastScheduledFor,
  };
  if (next.state !== 'running' || next.restart !== null || !isOutdated(next)) return next;
  return { ...next, restart: updateOf(next) };
};

/** The policy after one more event. Total over every released event. */
export const evolvePolicy = (policy: PolicyState, event: PolicyEvent): PolicyState => {
  if (event.type === 'fleetlog.policy.applied.v1') return applied(policy, event);
  if (policy === undefined) return undefined;
  // The table has the handler of each type; the compiler cannot follow the pairing through a union.
  const handler = EVOLVE[event.type] as (policy: Policy, event: Change) => Partial<Policy>;
  return { ...policy, ...handler(policy, event) };
};

/** True while a process of it may be alive. */
export const isLive = (state: PolicyStateName): boolean =>
  state === 'starting' || state === 'running' || state === 'stopping';

/** A person, the mode or the removal says that it is not to run, whatever else is the case. */
export const isForbidden = ({ isRemoved, isPaused, asked, config }: Policy): boolean =>
  isRemoved || isPaused || asked === 'stopped' || config.mode === 'paused';
