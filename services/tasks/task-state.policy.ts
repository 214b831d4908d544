// What a task is, as folded from its history. Pure; the rules that make the history are in task.decider.ts.
import type { AttemptOutcome, TaskCreated, TaskEvent, TaskStateName } from '#streams/task.ts';

/** One attempt; its number is its place from 1. */
export interface Attempt {
  readonly runId: string;
  readonly sessionId: string;
  readonly agent: string;
  readonly isRecalled: boolean;
  /** Null while it is under way. */
  readonly outcome: AttemptOutcome | null;
}

/** A task as folded from its history; undefined before it was created. */
export interface Task {
  readonly state: TaskStateName;
  readonly created: Omit<TaskCreated, 'type'>;
  readonly attempts: readonly Attempt[];
  /** Attempts since the task was created or retried; those that were recalled, met a used-up quota, or an unfit runner, do not count. */
  readonly used: number;
  readonly cancelReason: string | null;
}
export type TaskState = Task | undefined;

const ENDED: ReadonlySet<TaskStateName> = new Set(['completed', 'failed', 'blocked', 'cancelled']);

/** True for the states that only a retry leads out of, if anything. */
export const isEnded = (state: TaskStateName): boolean => ENDED.has(state);

/** True while an attempt is under way: the task has its share of every limit. */
export const isActive = (state: TaskStateName): boolean =>
  state === 'assigned' || state === 'running' || state === 'cancelling';

type Change = Exclude<TaskEvent, TaskCreated>;
type ChangeOf<Type extends Change['type']> = Extract<Change, { readonly type: Type }>;

/** The attempts with something changed about one of them. */
const withAttempt = (task: Task, attempt: number, change: Partial<Attempt>): readonly Attempt[] =>
  task.attempts.map((one, at) => (at === attempt - 1 ? { ...one, ...change } : one));

const endedAs =
  (state: TaskStateName) =>
  (task: Task, { attempt }: { readonly attempt: number }): Partial<Task> => ({
    state,
    attempts: withAttempt(task, attempt, { outcome: state as AttemptOutcome }),
  });

/** Nothing of the work was done, for a reason that is not the work's. */
const isNoTry = (failure: ChangeOf<'fleetlog.task.requeued.v1'>['failure']): boolean =>
  failure?.kind === 'provider-limited' || failure?.unfit === true;

const EVOLVE: {
  readonly [Type in Change['type']]: (task: Task, event: ChangeOf<Type>) => Partial<Task>;
} = {
  'fleetlog.task.assigned.v1': (task, { runId, sessionId, agent }) => ({
    state: 'assigned',
    attempts: [...task.attempts, { runId, sessionId, agent, isRecalled: false, outcome: null }],
    used: task.used + 1,
  }),
  'fleetlog.task.started.v1': () => ({ state: 'running' }),
  'fleetlog.task.recalled.v1': (task, { attempt }) => ({
    attempts: withAttempt(task, attempt, { isRecalled: true }),
    used: task.used - 1,
  }),
  'fleetlog.task.requeued.v1': (task, { attempt, outcome, failure }) => ({
    state: 'pending',
    attempts: withAttempt(task, attempt, { outcome }),
    used: isNoTry(failure) ? Math.max(0, task.used - 1) : task.used,
  }),
  'fleetlog.task.cancel-requested.v1': (_task, { reason }) => ({ state: 'cancelling', cancelReason: reason }),
  'fleetlog.task.completed.v1': endedAs('completed'),
  'fleetlog.task.failed.v1': endedAs('failed'),
  'fleetlog.task.blocked.v1': endedAs('blocked'),
  'fleetlog.task.cancelled.v1': (task, { last, reason }) => ({
    state: 'cancelled',
    cancelReason: reason,
    attempts: last === null ? task.attempts : withAttempt(task, last.attempt, { outcome: last.outcome }),
  }),
  'fleetlog.task.retried.v1': () => ({ state: 'pending', used: 0, cancelReason: null }),
};

/** The task after one more event. Total over every released event. */
export const evolveTask = (task: TaskState, event: TaskEvent): TaskState => {
  if (event.type !== 'fleetlog.task.created.v1') {
    if (task === undefined) return undefined;
    const handler = EVOLVE[event.type] as (task: Task, event: Change) => Partial<Task>;
    return { ...task, ...handler(task, event) };
  }
  const { type: _type, ...created } = event;
  return task ?? { state: 'pending', created, attempts: [], used: 0, cancelReason: null };
};
