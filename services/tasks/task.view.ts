// The summary of a task as a fold of its transitions (bucket `tasks`). Pure and total over every released event.
// Nothing is decided from it. Times are those of the events, so a rebuild gives the same values. Does not skip what it has
// seen: the projection does, by the sequence it stores beside the summary.
import type { Boundary } from '#streams/subjects.ts';
import { MAX_SHOWN_ATTEMPTS, type TaskView } from '#streams/task-view.ts';
import type { AttemptOutcome, TaskCreated, TaskEvent } from '#streams/task.ts';

/** The value of the bucket without its stamp. */
export type TaskSummary = Omit<TaskView, 'seq'>;
type ShownAttempt = TaskSummary['attempts'][number];

/** An event, whose it is and where it stands. */
export interface PlacedTaskEvent {
  readonly boundary: Boundary;
  readonly seq: number;
  readonly event: TaskEvent;
}

const created = (event: TaskCreated, { boundary, seq }: PlacedTaskEvent): TaskSummary => ({
  tenant: boundary.tenant,
  project: boundary.project,
  taskId: event.taskId,
  queue: event.queue,
  lane: event.lane,
  priority: event.priority,
  title: event.title,
  provider: event.provider,
  agent: event.agent,
  labels: event.labels,
  sessionId: event.sessionId,
  state: 'pending',
  attempts: [],
  attemptCount: 0,
  maxAttempts: event.maxAttempts,
  queuedSeq: seq,
  summary: null,
  failure: null,
  reason: null,
  references: event.references,
  metadata: event.metadata,
  createdAt: event.createdAt,
  endedAt: null,
  updatedAt: event.createdAt,
});

const withAttempt = (
  view: TaskSummary,
  attempt: number,
  change: Partial<ShownAttempt>,
): Pick<TaskSummary, 'attempts'> => ({
  attempts: view.attempts.map((one) => (one.attempt === attempt ? { ...one, ...change } : one)),
});

const endOf = (
  outcome: AttemptOutcome,
  { endedAt, failure = null }: { readonly endedAt: number; readonly failure?: ShownAttempt['failure'] },
): Partial<ShownAttempt> => ({ outcome, failure, endedAt });

type Change = Exclude<TaskEvent, TaskCreated>;
type ChangeOf<Type extends Change['type']> = Extract<Change, { readonly type: Type }>;

/** What an event changes; each says when it happened. */
const CHANGE: {
  readonly [Type in Change['type']]: (
    view: TaskSummary,
    event: ChangeOf<Type>,
    seq: number,
  ) => Partial<TaskSummary> & { readonly updatedAt: number };
} = {
  'fleetlog.task.assigned.v1': (view, { attempt, runId, sessionId, agent, assignedAt }) => ({
    state: 'assigned',
    attempts: [
      ...view.attempts.slice(1 - MAX_SHOWN_ATTEMPTS),
      {
        attempt,
        runId,
        sessionId,
        agent,
        recalled: null,
        outcome: null,
        failure: null,
        assignedAt,
        startedAt: null,
        endedAt: null,
      },
    ],
    attemptCount: attempt,
    updatedAt: assignedAt,
  }),
  'fleetlog.task.started.v1': (view, { attempt, startedAt }) => ({
    state: 'running',
    ...withAttempt(view, attempt, { startedAt }),
    updatedAt: startedAt,
  }),
  'fleetlog.task.recalled.v1': (view, { attempt, reason, recalledAt }) => ({
    ...withAttempt(view, attempt, { recalled: reason }),
    updatedAt: recalledAt,
  }),
  'fleetlog.task.requeued.v1': (view, { attempt, outcome, failure, endedAt }) => ({
    state: 'pending',
    ...withAttempt(view, attempt, endOf(outcome, { endedAt, failure })),
    updatedAt: endedAt,
  }),
  'fleetlog.task.cancel-requested.v1': (_view, { reason, requestedAt }) => ({
    state: 'cancelling',
    reason,
    updatedAt: requestedAt,
  }),
  'fleetlog.task.completed.v1': (view, { attempt, summary, endedAt }) => ({
    state: 'completed',
    ...withAttempt(view, attempt, endOf('completed', { endedAt })),
    summary,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.task.failed.v1': (view, { attempt, summary, failure, endedAt }) => ({
    state: 'failed',
    ...withAttempt(view, attempt, endOf('failed', { endedAt, failure })),
    summary,
    failure,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.task.blocked.v1': (view, { attempt, summary, reason, endedAt }) => ({
    state: 'blocked',
    ...withAttempt(view, attempt, endOf('blocked', { endedAt })),
    summary,
    reason,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.task.cancelled.v1': (view, { last, reason, endedAt }) => ({
    state: 'cancelled',
    ...(last !== null && withAttempt(view, last.attempt, endOf(last.outcome, { endedAt }))),
    reason,
    endedAt,
    updatedAt: endedAt,
  }),
  'fleetlog.task.retried.v1': (_view, { retriedAt }, queuedSeq) => ({
    state: 'pending',
    queuedSeq,
    summary: null,
    failure: null,
    reason: null,
    endedAt: null,
    updatedAt: retriedAt,
  }),
};

/** The summary after one more event; undefined while the task was not created. */
export const foldTask = (view: TaskSummary | undefined, placed: PlacedTaskEvent): TaskSummary | undefined => {
  const { event, seq } = placed;
  if (event.type === 'fleetlog.task.created.v1') return view ?? created(event, placed);
  if (view === undefined) return undefined;
  const change = (
    CHANGE[event.type] as (
      view: TaskSummary,
      event: Change,
      seq: number,
    ) => Partial<TaskSummary> & { readonly updatedAt: number }
  )(view, event, seq);
  return { ...view, ...change, updatedAt: Math.max(view.updatedAt, change.updatedAt) };
};
