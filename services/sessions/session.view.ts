// The summary of a session as a fold of the transitions of its runs (bucket `sessions`). Pure and total over every released event.
// Active is a set of runs: the end of one never touches another. Nothing is decided from it.
import type { SessionView } from '#streams/buckets.ts';
import type { RunEvent } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The value of the bucket without its stamp. */
export type SessionSummary = Omit<SessionView, 'seq'>;

/** A run transition and whose it is. */
export interface PlacedSessionEvent {
  readonly boundary: Boundary;
  /** When it happened, epoch ms. */
  readonly occurredAt: number;
  readonly event: RunEvent;
}

type Outcome = 'completed' | 'blocked' | 'failed' | 'cancelled';

type Created = Extract<RunEvent, { readonly type: 'fleetlog.run.created.v1' }>;

/** How a transition ended its run; undefined when it did not. */
const OUTCOME: {
  readonly [Type in RunEvent['type']]: (
    event: Extract<RunEvent, { readonly type: Type }>,
  ) => Outcome | undefined;
} = {
  'fleetlog.run.created.v1': () => undefined,
  'fleetlog.run.claimed.v1': () => undefined,
  'fleetlog.run.turn-started.v1': () => undefined,
  'fleetlog.run.cancel-requested.v1': () => undefined,
  'fleetlog.run.lease-expired.v1': ({ next }) => (next === 'queued' ? undefined : next),
  'fleetlog.run.approval-asked.v1': () => undefined,
  'fleetlog.run.approval-answered.v1': () => undefined,
  'fleetlog.run.completed.v1': () => 'completed',
  'fleetlog.run.blocked.v1': () => 'blocked',
  'fleetlog.run.failed.v1': () => 'failed',
  'fleetlog.run.cancelled.v1': () => 'cancelled',
};

const opened = ({ boundary, occurredAt }: PlacedSessionEvent, event: Created): SessionSummary => ({
  tenant: boundary.tenant,
  project: boundary.project,
  sessionId: event.sessionId,
  agent: event.agent,
  provider: event.provider,
  title: event.title,
  activeRuns: [event.runId],
  runs: 1,
  lastRunId: event.runId,
  lastOutcome: null,
  createdAt: event.createdAt,
  lastActivityAt: occurredAt,
});

const withRun = (view: SessionSummary, event: Created): Partial<SessionSummary> => ({
  // A run without a title keeps the one that is there.
  title: event.title ?? view.title,
  activeRuns: [...view.activeRuns, event.runId],
  runs: view.runs + 1,
  lastRunId: event.runId,
});

const withOutcome = (view: SessionSummary, event: RunEvent): Partial<SessionSummary> => {
  const outcome = (OUTCOME[event.type] as (event: RunEvent) => Outcome | undefined)(event);
  if (outcome === undefined) return {};
  return { activeRuns: view.activeRuns.filter((runId) => runId !== event.runId), lastOutcome: outcome };
};

/**
 * The summary after one more transition; undefined while no run was created in it. Does not skip what it has seen: the
 * projection does, by the sequence it stores beside the summary.
 */
export const foldSession = (
  view: SessionSummary | undefined,
  placed: PlacedSessionEvent,
): SessionSummary | undefined => {
  const { event, occurredAt } = placed;
  const isCreated = event.type === 'fleetlog.run.created.v1';
  if (view === undefined) return isCreated ? opened(placed, event) : undefined;
  const change = isCreated ? withRun(view, event) : withOutcome(view, event);
  return { ...view, ...change, lastActivityAt: Math.max(view.lastActivityAt, occurredAt) };
};
