// The summary of a run as a fold of its transitions (bucket `runs`). Pure and total over every released event.
// Nothing is decided from it. Times are those of the events, so a rebuild gives the same values. Does not skip what it has
// seen: the projection does, by the sequence it stores beside the summary.
import type { RunView } from '#streams/buckets.ts';
import type { RunCreated, RunEvent } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The value of the bucket without its stamp. */
export type RunSummary = Omit<RunView, 'seq'>;

/** An event and whose it is. */
export interface PlacedRunEvent {
  readonly boundary: Boundary;
  readonly event: RunEvent;
}

const created = (event: RunCreated, { boundary }: PlacedRunEvent): RunSummary => ({
  tenant: boundary.tenant,
  project: boundary.project,
  runId: event.runId,
  sessionId: event.sessionId,
  agent: event.agent,
  provider: event.provider,
  title: event.title,
  state: 'queued',
  attempt: 0,
  maxAttempts: event.maxAttempts,
  fence: null,
  runnerId: null,
  leaseMs: event.leaseMs,
  turnId: null,
  cancelReason: null,
  failure: null,
  result: null,
  openApprovals: [],
  parkings: 0,
  createdAt: event.createdAt,
  claimedAt: null,
  startedAt: null,
  endedAt: null,
  updatedAt: event.createdAt,
});

type Change = Exclude<RunEvent, RunCreated>;
type ChangeOf<Type extends Change['type']> = Extract<Change, { readonly type: Type }>;

const nothingOpen = { openApprovals: [] };

/** What an event changes; each says when it happened (turns by the runner's clock, the rest by the control plane's). */
const CHANGE: {
  readonly [Type in Change['type']]: (view: RunSummary, event: ChangeOf<Type>) => Partial<RunSummary>;
} = {
  'fleetlog.run.claimed.v1': (view, { fence, runnerId, claimedAt }) => ({
    state: 'claimed',
    // A claim that ended by parking a question was none.
    attempt: fence - view.parkings,
    fence,
    runnerId,
    turnId: null,
    claimedAt,
    startedAt: null,
    updatedAt: claimedAt,
  }),
  'fleetlog.run.turn-started.v1': (view, { turnId, startedAt }) => ({
    state: view.state === 'claimed' ? 'running' : view.state,
    turnId,
    startedAt,
    updatedAt: startedAt,
  }),
  'fleetlog.run.lease-expired.v1': (view, event) =>
    event.next === 'queued'
      ? { ...nothingOpen, state: 'queued', fence: null, runnerId: null, updatedAt: event.expiredAt }
      : {
          ...nothingOpen,
          state: event.next,
          failure: event.next === 'failed' ? lostRunner(view, event) : null,
          endedAt: event.expiredAt,
          updatedAt: event.expiredAt,
        },
  'fleetlog.run.cancel-requested.v1': (_view, { reason, requestedAt }) => ({
    ...nothingOpen,
    state: 'cancelling',
    cancelReason: reason,
    updatedAt: requestedAt,
  }),
  'fleetlog.run.completed.v1': (_view, { turnId, result, endedAt }) => ({
    ...nothingOpen,
    state: 'completed',
    turnId,
    result,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.run.blocked.v1': (_view, { turnId, result, endedAt }) => ({
    state: 'blocked',
    turnId,
    result,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.run.failed.v1': (_view, { turnId, failure, result, endedAt }) => ({
    ...nothingOpen,
    state: 'failed',
    turnId,
    failure,
    result,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.run.cancelled.v1': (_view, { turnId, reason, result, endedAt }) => ({
    ...nothingOpen,
    state: 'cancelled',
    turnId,
    cancelReason: reason,
    result,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.run.approval-asked.v1': (view, { mode, turnId, approvalId, tool, expiresAt, askedAt }) => {
    const asked = { approvalId, tool, expiresAt };
    const common = { turnId, updatedAt: askedAt };
    if (mode === 'parked')
      return {
        ...common,
        state: 'waiting',
        fence: null,
        runnerId: null,
        parkings: view.parkings + 1,
        openApprovals: [asked],
      };
    const state = view.state === 'cancelling' ? 'cancelling' : 'waiting';
    return { ...common, state, openApprovals: [...view.openApprovals, asked] };
  },
  'fleetlog.run.approval-answered.v1': (view, { approvalId, commandId, answeredAt }) => {
    const openApprovals = view.openApprovals.filter((open) => open.approvalId !== approvalId);
    const goesOn = view.state === 'waiting' && openApprovals.length === 0;
    const state = goesOn ? (commandId === null ? 'running' : 'queued') : view.state;
    return { openApprovals, state, updatedAt: answeredAt };
  },
};

const lostRunner = (
  view: RunSummary,
  event: ChangeOf<'fleetlog.run.lease-expired.v1'>,
): NonNullable<RunSummary['failure']> => ({
  kind: 'runner-lost',
  message:
    event.reason ??
    `the lease of runner ${event.runnerId} expired (attempt ${event.fence - view.parkings} of ${view.maxAttempts})`,
});

/** The summary after one more event; undefined while the run was not created. */
export const foldRun = (view: RunSummary | undefined, placed: PlacedRunEvent): RunSummary | undefined => {
  const { event } = placed;
  if (event.type === 'fleetlog.run.created.v1') return view ?? created(event, placed);
  if (view === undefined) return undefined;
  const change = (CHANGE[event.type] as (view: RunSummary, event: Change) => Partial<RunSummary>)(
    view,
    event,
  );
  const updatedAt = Math.max(view.updatedAt, change.updatedAt ?? 0);
  return { ...view, ...change, updatedAt };
};
