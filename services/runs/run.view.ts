// The summary of a run as a fold of its transitions (bucket `runs`). Pure and total over every released event.
// Nothing is decided from it. Times are those of the events, so a rebuild gives the same values. Does not skip what it has
// seen: the projection does, by the sequence it stores beside the summary.
import type { RunView } from '#streams/buckets.ts';
import type { RunCreated, RunEvent } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';
import {
  commandAcknowledged,
  commandCancelled,
  commandCreated,
  commandFinished,
  firstCommand,
  runEnded,
  turnClaimed,
  turnFollowed,
  turnLost,
  turnParked,
} from './run-commands.view.ts';
import { endOfTurn } from './run-commands.policy.ts';

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
  turnCommandId: event.commandId,
  commands: [firstCommand(event)],
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
    commands: turnClaimed(view, claimedAt),
    // A claim that ended by parking a question was none, and those of earlier turns are not of this one.
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
      ? { ...nothingOpen, ...requeued(view, event), state: 'queued', updatedAt: event.expiredAt }
      : {
          ...nothingOpen,
          commands: runEnded(view, event.next, { endedAt: event.expiredAt, closed: event.commandsClosed }),
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
  'fleetlog.run.completed.v1': (view, { commandsClosed: closed, turnId, result, endedAt }) => ({
    ...nothingOpen,
    commands: runEnded(view, 'completed', { endedAt, closed }),
    state: 'completed',
    turnId,
    result,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.run.blocked.v1': (view, { commandsClosed: closed, turnId, result, endedAt }) => ({
    ...nothingOpen,
    commands: runEnded(view, 'failed', { endedAt, closed }),
    state: 'blocked',
    turnId,
    result,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.run.failed.v1': (view, { commandsClosed: closed, turnId, failure, result, endedAt }) => ({
    ...nothingOpen,
    commands: runEnded(view, 'failed', { endedAt, closed }),
    state: 'failed',
    turnId,
    failure,
    result,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.run.cancelled.v1': (view, { commandsClosed: closed, turnId, reason, result, endedAt }) => ({
    ...nothingOpen,
    commands: runEnded(view, 'cancelled', { endedAt, closed }),
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
        commands: turnParked(view, askedAt),
        openApprovals: [asked],
      };
    const state = view.state === 'cancelling' ? 'cancelling' : 'waiting';
    return { ...common, state, openApprovals: [...view.openApprovals, asked] };
  },
  'fleetlog.run.approval-counted.v1': (_view, { countedAt }) => ({ updatedAt: countedAt }),
  'fleetlog.run.approval-answered.v1': (view, { approvalId, commandId, answeredAt }) => {
    const openApprovals = view.openApprovals.filter((open) => open.approvalId !== approvalId);
    const goesOn = view.state === 'waiting' && openApprovals.length === 0;
    const state = goesOn ? (commandId === null ? 'running' : 'queued') : view.state;
    return { openApprovals, state, updatedAt: answeredAt };
  },
  'fleetlog.run.turn-finished.v1': (view, event) => ({
    ...nothingOpen,
    ...goesOn(view, event, endOfTurn(event.result.outcome), event.endedAt),
    state: 'queued',
    turnId: event.turnId,
    updatedAt: event.endedAt,
  }),
  'fleetlog.run.command-created.v1': (view, event) => ({
    commands: commandCreated(view, event),
    updatedAt: event.createdAt,
  }),
  'fleetlog.run.command-acknowledged.v1': (view, event) => ({
    commands: commandAcknowledged(view, event),
    updatedAt: event.acknowledgedAt,
  }),
  'fleetlog.run.command-finished.v1': (view, event) => ({
    commands: commandFinished(view, event),
    updatedAt: event.finishedAt,
  }),
  'fleetlog.run.command-cancelled.v1': (view, event) => ({
    commands: commandCancelled(view, event),
    updatedAt: event.cancelledAt,
  }),
};

/** The turn is over, and the run goes on with another one whose attempts are not used up. */
const goesOn = (
  view: RunSummary,
  {
    fence,
    turnCommandId,
    commandsClosed: closed,
  }: Pick<ChangeOf<'fleetlog.run.turn-finished.v1'>, 'fence' | 'commandsClosed'> & {
    readonly turnCommandId: string;
  },
  turn: 'completed' | 'failed' | 'cancelled',
  endedAt: number,
): Partial<RunSummary> => ({
  commands: turnFollowed(view, turn, { turnCommandId, endedAt, closed }),
  turnCommandId,
  parkings: fence,
  fence: null,
  runnerId: null,
});

const requeued = (
  view: RunSummary,
  event: ChangeOf<'fleetlog.run.lease-expired.v1'>,
): Partial<RunSummary> => {
  const { turnCommandId } = event;
  return turnCommandId === undefined
    ? { commands: turnLost(view), fence: null, runnerId: null }
    : goesOn(view, { ...event, turnCommandId }, 'cancelled', event.expiredAt);
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
