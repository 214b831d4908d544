// How a managed agent stands, as a fold of its policy's transitions (bucket `agents`). Pure and total over every released event. Nothing
// is decided from it. The words of `reason` are for people.
import type { ManagedAgentView } from '#streams/policy-views.ts';
import type { PolicyEvent, PolicyEventType } from '#streams/policy.ts';
import type { PlacedPolicyEvent } from './policy.view.ts';
import { policyWords } from '#streams/policy-words.ts';

/** The value of the bucket without its stamp. */
export type AgentSummary = Omit<ManagedAgentView, 'seq'>;

type EventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;

const started = (
  { config, policy }: EventOf<'fleetlog.policy.applied.v1'>,
  { boundary }: PlacedPolicyEvent,
  at: number,
): AgentSummary => ({
  tenant: boundary.tenant,
  project: boundary.project,
  policy,
  agent: config.agent,
  mode: config.mode,
  provider: config.provider,
  tags: config.tags,
  state: 'stopped',
  desired: 'by-mode',
  reason: '',
  version: 1,
  runningVersion: null,
  spawnId: null,
  host: null,
  runnerId: null,
  runnerVersion: null,
  failures: 0,
  restarts: 0,
  crashes: 0,
  backoffUntil: null,
  limitedUntil: null,
  deadlineAt: null,
  lastError: null,
  stuck: null,
  startedAt: null,
  healthySince: null,
  stoppedAt: null,
  sinceAt: at,
  updatedAt: at,
});

const ended = {
  runningVersion: null,
  spawnId: null,
  runnerId: null,
  runnerVersion: null,
  deadlineAt: null,
  stuck: null,
  healthySince: null,
} as const;

const failed = (
  view: AgentSummary,
  {
    cause,
    code,
    message,
    failures,
    decidedAt,
  }: EventOf<'fleetlog.policy.backoff.v1'> | EventOf<'fleetlog.policy.failed.v1'>,
): Partial<AgentSummary> => ({
  ...ended,
  failures,
  crashes: view.crashes + (cause === 'refused' ? 0 : 1),
  lastError: { code, message, at: decidedAt },
  stoppedAt: decidedAt,
});

type Change = Exclude<PolicyEvent, EventOf<'fleetlog.policy.applied.v1'>>;

/** A person who asks for the opposite withdraws what was asked before. */
const CHANGE: {
  readonly [Type in Change['type']]: (view: AgentSummary, event: EventOf<Type>) => Partial<AgentSummary>;
} = {
  'fleetlog.policy.removed.v1': () => ({ desired: 'removed' }),
  'fleetlog.policy.start-asked.v1': () => ({ desired: 'running' }),
  'fleetlog.policy.stop-asked.v1': () => ({ desired: 'stopped' }),
  'fleetlog.policy.restart-asked.v1': () => ({ desired: 'restarting' }),
  'fleetlog.policy.paused.v1': () => ({ desired: 'paused' }),
  'fleetlog.policy.resumed.v1': () => ({ desired: 'by-mode' }),
  'fleetlog.policy.reset.v1': (view) => ({
    failures: 0,
    limitedUntil: null,
    backoffUntil: null,
    ...((view.state === 'failed' || view.state === 'backoff') && { state: 'stopped' as const }),
  }),
  'fleetlog.policy.waiting-for-host.v1': () => ({ state: 'waiting-for-host', backoffUntil: null }),
  'fleetlog.policy.starting.v1': (_view, { spawnId, agent, host, version, deadlineAt, decidedAt }) => ({
    state: 'starting',
    spawnId,
    agent,
    host,
    runningVersion: version,
    deadlineAt,
    backoffUntil: null,
    startedAt: decidedAt,
  }),
  'fleetlog.policy.running.v1': (view, { runnerId, runnerVersion, decidedAt }) => ({
    state: 'running',
    runnerId,
    runnerVersion,
    deadlineAt: null,
    healthySince: decidedAt,
    ...(view.desired === 'restarting' && { desired: 'by-mode' as const }),
  }),
  'fleetlog.policy.healthy.v1': () => ({ failures: 0, lastError: null }),
  'fleetlog.policy.stuck.v1': (_view, { evidence }) => ({ stuck: evidence }),
  'fleetlog.policy.unstuck.v1': () => ({ stuck: null }),
  'fleetlog.policy.stopping.v1': (view, { isRestart, deadlineAt, limitedUntil, cause }) => ({
    state: 'stopping',
    deadlineAt,
    limitedUntil: limitedUntil ?? view.limitedUntil,
    restarts: view.restarts + (isRestart ? 1 : 0),
    ...(isRestart && { desired: 'restarting' as const }),
    ...(cause === 'idle-timeout' && view.desired === 'running' && { desired: 'by-mode' as const }),
  }),
  'fleetlog.policy.stop-escalated.v1': (_view, { deadlineAt }) => ({ deadlineAt }),
  'fleetlog.policy.stopped.v1': (_view, { decidedAt }) => ({
    ...ended,
    state: 'stopped',
    backoffUntil: null,
    stoppedAt: decidedAt,
  }),
  'fleetlog.policy.backoff.v1': (view, event) => ({
    ...failed(view, event),
    state: 'backoff',
    backoffUntil: event.until,
  }),
  'fleetlog.policy.failed.v1': (view, event) => ({
    ...failed(view, event),
    state: 'failed',
    backoffUntil: null,
  }),
  'fleetlog.policy.stray-found.v1': () => ({}),
};

const changed = (view: AgentSummary | undefined, placed: PlacedPolicyEvent): AgentSummary | undefined => {
  const { event } = placed;
  const at = event.decidedAt;
  if (event.type === 'fleetlog.policy.applied.v1') {
    const { agent, mode, provider, tags } = event.config;
    const before = view ?? started(event, placed, at);
    const isBack = before.desired === 'removed';
    // The agent that runs keeps its name until it has ended.
    return {
      ...before,
      ...(before.spawnId === null && { agent }),
      mode,
      provider,
      tags,
      version: event.version,
      ...(isBack && { desired: 'by-mode' as const }),
    };
  }
  if (view === undefined) return undefined;
  // The table has the change of each type; the compiler cannot follow the pairing through a union.
  const change = (CHANGE[event.type] as (view: AgentSummary, event: Change) => Partial<AgentSummary>)(
    view,
    event,
  );
  return { ...view, ...change };
};

/** The summary after one more event; undefined while the policy was not applied. */
export const foldAgent = (
  view: AgentSummary | undefined,
  placed: PlacedPolicyEvent,
): AgentSummary | undefined => {
  const next = changed(view, placed);
  if (next === undefined) return undefined;
  const at = placed.event.decidedAt;
  return {
    ...next,
    reason: policyWords(placed.event),
    sinceAt: view?.state === next.state ? view.sinceAt : at,
    updatedAt: Math.max(view?.updatedAt ?? 0, at),
  };
};
