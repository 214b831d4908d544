// The rules of a task: when it may be handed over, what the end of an attempt leads to, what cancel, recall and retry do. Pure.
// Guarantees: one attempt at a time, numbered without gaps; completed at most once and for good; failed, blocked and cancelled
// absorb everything but a retry; no attempt is forgotten. Does not know limits and runners (see dispatch) and starts no run.
//
// pending ─assign→ assigned ─start→ running ─end→ completed | failed | blocked | cancelled
//    ↑                └──────────── end ───────↗      (news of the start may be missing or late)
//    ├─ requeued ─ assigned | running   the runner was lost and may be tried again, or unfit; a quota was used up; or the attempt was recalled
//    └─ retry ─ failed | blocked | cancelled
// pending ─cancel→ cancelled;  assigned | running ─cancel→ cancelling ─end→ cancelled
import { accept, reject, unchanged, type Decider, type Decision } from '#libs/kernel/decider.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { TaskCommand, TaskEvent } from '#streams/task.ts';
import { evolveTask, isEnded, type Task, type TaskState } from './task-state.policy.ts';

/** Refusals of a task. */
export type TaskRejection = Extract<RejectionCode, `TASK_${string}`>;

type TaskDecision = Decision<TaskEvent, TaskRejection>;
type CommandOf<Kind extends TaskCommand['kind']> = Extract<TaskCommand, { readonly kind: Kind }>;

const aboutOf = ({ created: { taskId, queue } }: Task) => ({ taskId, queue });

/** ER-06: what was wanted comes too late. */
const ended = ({ state, created: { taskId } }: Task): TaskDecision =>
  state === 'cancelled'
    ? reject('TASK_CANCELLED', `task ${taskId} was cancelled`)
    : reject('TASK_ENDED', `task ${taskId} has ended (${state})`);

const create = ({ data }: CommandOf<'create'>, task: TaskState, now: number): TaskDecision => {
  if (task === undefined) return accept({ ...data, type: 'fleetlog.task.created.v1', createdAt: now });
  if (task.created.requestHash === data.requestHash) return unchanged;
  return reject('TASK_CONFLICTING_REQUEST', `task ${data.taskId} was created by another request`, {
    taskId: data.taskId,
  });
};

/** The attempt that a command is about: the one under way, an earlier one (its news is late), or one that never was. */
const attemptNamed = (
  task: Task,
  { attempt, runId }: { readonly attempt: number; readonly runId?: string },
): 'current' | 'past' | 'unknown' => {
  const named = task.attempts[attempt - 1];
  if (named === undefined || (runId !== undefined && named.runId !== runId)) return 'unknown';
  return attempt === task.attempts.length && named.outcome === null ? 'current' : 'past';
};

const unknownAttempt = (task: Task, attempt: number): TaskDecision =>
  reject('TASK_ATTEMPT_UNKNOWN', `task ${task.created.taskId} has no such attempt ${attempt}`, {
    attempt,
    attempts: task.attempts.length,
  });

const assign = (command: CommandOf<'assign'>, task: Task, now: number): TaskDecision => {
  const { attempt, runId, agent, newSessionId } = command;
  if (attemptNamed(task, command) === 'current') return unchanged;
  if (isEnded(task.state)) return ended(task);
  const { taskId, agent: only, sessionId } = task.created;
  if (task.state !== 'pending' || attempt !== task.attempts.length + 1)
    return reject('TASK_NOT_PENDING', `task ${taskId} does not wait for attempt ${attempt} (${task.state})`, {
      state: task.state,
      attempts: task.attempts.length,
    });
  if (only !== null && only !== agent)
    return reject('TASK_FOREIGN', `task ${taskId} is for agent ${only} only`, { agent });
  return accept({
    type: 'fleetlog.task.assigned.v1',
    ...aboutOf(task),
    attempt,
    runId,
    sessionId: sessionId ?? newSessionId,
    agent,
    assignedAt: now,
  });
};

const start = (command: CommandOf<'start'>, task: Task): TaskDecision => {
  const { attempt, runId, startedAt } = command;
  const named = attemptNamed(task, command);
  if (named === 'unknown') return unknownAttempt(task, attempt);
  if (named === 'past' || task.state !== 'assigned') return unchanged;
  return accept({ type: 'fleetlog.task.started.v1', ...aboutOf(task), attempt, runId, startedAt });
};

/** Whether an attempt that ended so is followed by another one without anybody asking. */
const isTriedAgain = (task: Task, { end }: CommandOf<'end'>): boolean => {
  if (end.outcome === 'cancelled') return task.attempts.at(-1)?.isRecalled === true;
  const { replay, maxAttempts } = task.created;
  if (end.outcome !== 'failed') return false;
  // Nothing was done: whoever is fit to do it may, and dispatch waits before it asks the same runner again.
  if (end.failure?.unfit === true) return true;
  // Whoever pays has to wait, and the work with it: that is no try of it.
  if (end.failure?.kind === 'provider-limited') return replay === 'requeue';
  if (end.failure?.kind !== 'runner-lost') return false;
  return task.attempts.at(-1)?.isRecalled === true || (replay === 'requeue' && task.used < maxAttempts);
};

const endAttempt = (command: CommandOf<'end'>, task: Task): TaskDecision => {
  const { attempt, runId, end } = command;
  const named = attemptNamed(task, command);
  if (named === 'unknown') return unknownAttempt(task, attempt);
  if (named === 'past') return unchanged;
  const { outcome, failure, summary, endedAt } = end;
  const which = { ...aboutOf(task), attempt, runId };
  const last = { attempt, runId, outcome };
  // Asked to cancel: cancelled it is, also when the work was faster. How the attempt ended is kept.
  if (task.state === 'cancelling' || (outcome === 'cancelled' && !isTriedAgain(task, command)))
    return accept({
      type: 'fleetlog.task.cancelled.v1',
      ...aboutOf(task),
      last,
      reason: task.cancelReason ?? (summary || 'its run was cancelled').slice(0, 500),
      endedAt,
    });
  if (outcome === 'completed')
    return accept({ type: 'fleetlog.task.completed.v1', ...which, summary, endedAt });
  if (outcome === 'blocked')
    return accept({
      type: 'fleetlog.task.blocked.v1',
      ...which,
      summary,
      reason: summary || 'the agent did not say why',
      endedAt,
    });
  if (isTriedAgain(task, command))
    return accept({ type: 'fleetlog.task.requeued.v1', ...which, outcome, failure, endedAt });
  const known = failure ?? {
    kind: 'provider-failed',
    message: summary || 'the run failed without saying why',
  };
  return accept({ type: 'fleetlog.task.failed.v1', ...which, summary, failure: known, endedAt });
};

const recall = (command: CommandOf<'recall'>, task: Task, now: number): TaskDecision => {
  const { attempt, reason } = command;
  const named = attemptNamed(task, command);
  if (named === 'unknown') return unknownAttempt(task, attempt);
  const last = task.attempts.at(-1);
  // Begun or over meanwhile, or recalled before: nothing to take back.
  if (named === 'past' || task.state !== 'assigned' || last === undefined || last.isRecalled)
    return unchanged;
  const { runId } = last;
  return accept({
    type: 'fleetlog.task.recalled.v1',
    ...aboutOf(task),
    attempt,
    runId,
    reason,
    recalledAt: now,
  });
};

const cancel = ({ reason }: CommandOf<'cancel'>, task: Task, now: number): TaskDecision => {
  if (isEnded(task.state) || task.state === 'cancelling') return unchanged;
  const attempt = task.attempts.length;
  const under = task.state === 'pending' ? undefined : task.attempts.at(-1);
  if (under === undefined)
    return accept({ type: 'fleetlog.task.cancelled.v1', ...aboutOf(task), last: null, reason, endedAt: now });
  const { runId } = under;
  return accept({
    type: 'fleetlog.task.cancel-requested.v1',
    ...aboutOf(task),
    attempt,
    runId,
    reason,
    requestedAt: now,
  });
};

const retry = (_command: CommandOf<'retry'>, task: Task, now: number): TaskDecision => {
  const { taskId } = task.created;
  if (task.state === 'completed')
    return reject('TASK_COMPLETED', `task ${taskId} is done; ask for a new task to have it done again`);
  if (!isEnded(task.state))
    return reject('TASK_NOT_ENDED', `task ${taskId} has not ended (${task.state})`, { state: task.state });
  const attempts = task.attempts.length;
  return accept({ type: 'fleetlog.task.retried.v1', ...aboutOf(task), attempts, retriedAt: now });
};

type Decide<Kind extends TaskCommand['kind']> = (
  command: CommandOf<Kind>,
  task: Task,
  now: number,
) => TaskDecision;

const DECIDE: { readonly [Kind in Exclude<TaskCommand['kind'], 'create'>]: Decide<Kind> } = {
  assign,
  start,
  end: endAttempt,
  recall,
  cancel,
  retry,
};

const decide = (command: TaskCommand, task: TaskState, { now }: { readonly now: number }): TaskDecision => {
  if (command.kind === 'create') return create(command, task, now);
  if (task === undefined) return reject('TASK_UNKNOWN', 'no task has this id');
  // The table has the handler of each kind; the compiler cannot follow the pairing through a union.
  return (DECIDE[command.kind] as Decide<TaskCommand['kind']>)(command, task, now);
};

/** The decider of the task aggregate; its contract is streams/task.ts. */
export const taskDecider: Decider<TaskCommand, TaskEvent, TaskState, TaskRejection> = {
  initial: undefined,
  decide,
  evolve: evolveTask,
};
