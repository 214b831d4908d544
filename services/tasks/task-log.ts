// The task aggregate on its log: commands are decided against the folded history and appended to TRANSITIONS. Ids are derived from
// what caused the command, so that a repeat is the same append. Does not talk to runs (attempts.ts) or dispatch (assignments.ts).
import { createHash } from 'node:crypto';
import type { CommandHandler } from '#libs/commands/command-handler.ts';
import { createCommandHandler } from '#libs/commands/handle-command.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { historyOf, type EntryMeta } from '#streams/entry.ts';
import { idFromDigest, type IdKind } from '#streams/ids.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { decodeTaskEvent, encodeTaskEvent } from '#streams/task-codec.ts';
import type { TaskCommand, TaskEvent } from '#streams/task.ts';
import type { TaskState } from './task-state.policy.ts';
import { taskDecider, type TaskRejection } from './task.decider.ts';

/** A task, and on whose behalf something is done to it. */
export interface TaskTarget {
  readonly boundary: Boundary;
  readonly taskId: string;
  /** `user:anna`, `service:dispatch`. */
  readonly actor: string;
  /** Id of the transition that caused the command. */
  readonly causation?: string;
}

/** Decides and appends; see libs/commands. */
export type TaskLog = CommandHandler<TaskTarget, TaskCommand, TaskEvent, TaskState, TaskRejection>;

/** The process that appends the transitions of tasks. */
export const SOURCE = '/service/tasks';

/** What an event of a task says about itself. */
export const metaOf = (
  event: TaskEvent,
  target: TaskTarget,
  { id, now }: { readonly id: string; readonly now: number },
): EntryMeta => ({
  boundary: target.boundary,
  id,
  source: SOURCE,
  // The end of an attempt by the clock of who told of it, the rest when it was decided.
  timeMs: 'endedAt' in event ? event.endedAt : now,
  actor: target.actor,
  correlation: target.taskId,
  ...(target.causation !== undefined && { causation: target.causation }),
});

/** The event of an entry; undefined: of a newer version, passed over. Throws `TASK_UNREADABLE` (never): nothing is decided from a history that is not understood. */
const decodeEntry = (entry: StoredEntry): TaskEvent | undefined =>
  historyOf(decodeTaskEvent(entry), entry, 'TASK_UNREADABLE')?.event;

/** Builds the handler; `log` is that of TRANSITIONS. */
export const createTaskLog = (parts: {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly ids: Ids;
}): TaskLog =>
  createCommandHandler<TaskTarget, TaskCommand, TaskEvent, TaskState, TaskRejection>({
    ...parts,
    decider: taskDecider,
    subjectOf: ({ boundary, taskId }) => aggregateSubject(boundary, 'task', taskId),
    encode: (event, { target, ...context }) => encodeTaskEvent(event, metaOf(event, target, context)),
    decodeEntry,
  });

/** The run or new session of an attempt (1: the first): the same for everybody who derives it. */
export const attemptId = (
  kind: Extract<IdKind, 'run' | 'session'>,
  taskId: string,
  attempt: number,
): string => idFromDigest(kind, createHash('sha256').update(`${taskId}#${attempt}`).digest());

/** SHA-256 (hex) of a JSON value as it is written; key order counts. */
export const hashOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex');
