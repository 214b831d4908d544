// How a policy follows from its history, event by event. Pure and total over every released event; what a policy is, is in policy-state.policy.ts.
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyEvent, PolicyEventType } from '#streams/policy.ts';
import {
  isCrash,
  UPDATE_IDLE_MS,
  windowMs,
  type PendingRestart,
  type Policy,
  type PolicyState,
} from './policy-state.policy.ts';

/** Versions that can be gone back to. */
const KEPT_VERSIONS = 20;
const MOST_CRASHES = 1001;
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

/** Its host has seen its process end. */
const isSeenEnd = (how: string): boolean =>
  how === 'exited' || how === 'host-stopped' || how === 'broker-moved';

/** What is not known to be over when the record says that it is: what a host has reported, or never did, is known. */
const unsureAfter = ({ spawn, unsure }: Policy, how: string): Policy['unsure'] => {
  if (spawn === null) return unsure;
  const { spawnId, agent, host } = spawn;
  return isSeenEnd(how) || how === 'refused' ? null : { spawnId, agent, host };
};

/** More starts than can end within the time to live of what one of them has announced. */
const MOST_OVER = 8;

const withOver = ({ over }: Policy, spawnId: string | null): readonly string[] =>
  spawnId === null ? over : [...over, spawnId].slice(-MOST_OVER);

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
  over: isSeenEnd(cause) ? withOver(policy, spawnId) : policy.over,
  unsure: unsureAfter(policy, cause),
  crashes: isCrash(cause, code)
    ? [...policy.crashes, decidedAt].filter((at) => at > decidedAt - windowMs(policy)).slice(-MOST_CRASHES)
    : policy.crashes,
});

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
    over: isSeenEnd(how) ? withOver(policy, spawnId) : policy.over,
    unsure: unsureAfter(policy, how),
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
  over: [],
  unsure: null,
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
