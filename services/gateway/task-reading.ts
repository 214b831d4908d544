// What is read of tasks: pages in the order in which tasks go, changes in the order in which they happened, the place of a waiting task
// in its queue, and counts by queue. All from the summaries in memory and their indexes. Changes nothing.
import { Fault } from '#libs/kernel/fault.ts';
import { viewKey } from '#streams/buckets.ts';
import { taskIdSchema } from '#streams/ids.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import type { TaskView } from '#streams/task-view.ts';
import { attentionOf, type Attention } from './attention.ts';
import { shows } from './catch-up.ts';
import { refuse, type GatewayParts, type Refused } from './http.ts';
import type { QueueCounts } from './queue-tally.ts';
import { isActiveTask, type TaskIndex, type TaskPlace, type TaskRow } from './task-index.ts';

const invalidCursor = (text: string): Fault =>
  new Fault({
    code: 'CURSOR_INVALID',
    retry: 'never',
    message: `${JSON.stringify(text.slice(0, 80))} is not a cursor of this API; expected the cursor of an earlier page`,
  });

export const formatTaskCursor = ({ priority, createdAt, id }: TaskPlace): string =>
  Buffer.from(`${priority}:${createdAt}:${id}`).toString('base64url');

/** Throws `CURSOR_INVALID` (never). */
export const parseTaskCursor = (text: string): TaskPlace => {
  const match = /^(-?\d{1,4}):(\d{1,15}):(\w{1,40})$/.exec(Buffer.from(text, 'base64url').toString('utf8'));
  if (match?.[3] === undefined) throw invalidCursor(text);
  return { priority: Number(match[1]), createdAt: Number(match[2]), id: match[3] };
};

/** Where everything about a task is. */
export const taskLinks = (taskId: string) => {
  const self = `/api/v1/tasks/${taskId}`;
  return { self, cancel: `${self}/cancel`, retry: `${self}/retry` };
};

/** The orders of tasks as of everything that has come. */
export const taskIndexOf = ({ views }: GatewayParts): TaskIndex => {
  views.tasks.settle();
  views.cursors.settle();
  return views.indexes.tasks;
};

/** The same, with the lists of a reader made. */
export const taskIndexFor = async (
  parts: GatewayParts,
  reader: string | undefined,
  queue: string | undefined,
): Promise<TaskIndex> => {
  if (reader !== undefined) await taskIndexOf(parts).prepare(reader, queue);
  return taskIndexOf(parts);
};

/** What a task is to a reader. */
export const taskAttention = (
  { views, boundary }: GatewayParts,
  row: Pick<TaskRow, 'id' | 'version' | 'state'>,
  reader: string | undefined,
): Attention => {
  const { id, version } = row;
  const thing = { kind: 'task', id, version, active: isActiveTask(row) } as const;
  return attentionOf(thing, reader, { cursors: views.cursors, boundary });
};

/** A task with its place. */
type ShownTask = TaskView & Attention & { readonly position: number | null };

const unknownTask = (taskId: string): Refused =>
  refuse('TASK_UNKNOWN', `no task ${taskId.slice(0, 100)} in this tenant and project`);

/**
 * The task as the summary shows it, at least as of `afterSeq` (a sequence of TRANSITIONS); what it does not show yet is looked up in the
 * log before it is called unknown. Refusal: `TASK_UNKNOWN`. Faults: `VIEW_BEHIND` (later), the log's.
 */
export const findTask = async (
  parts: GatewayParts,
  taskId: string,
  { afterSeq, reader }: { readonly afterSeq?: number | undefined; readonly reader?: string | undefined } = {},
): Promise<ShownTask | Refused> => {
  if (!taskIdSchema.safeParse(taskId).success) return unknownTask(taskId);
  const { views, boundary, transitions } = parts;
  const key = viewKey(boundary, taskId);
  await shows(parts, views.tasks, afterSeq, key);
  if (views.tasks.get(key) === undefined) {
    const last = await transitions.last(aggregateSubject(boundary, 'task', taskId));
    await shows(parts, views.tasks, last?.seq, key);
  }
  const found = views.tasks.get(key);
  if (found === undefined) return unknownTask(taskId);
  const index = taskIndexOf(parts);
  const row = views.tasks.row(key);
  const position = row === undefined ? null : index.positionOf(row);
  const { seq, state: task } = found;
  const attention = taskAttention(parts, { id: task.taskId, version: seq, state: task.state }, reader);
  return { seq, ...task, ...attention, position };
};

type Counts = Omit<QueueCounts, 'queue' | 'next'>;

const sum = (parts: readonly Readonly<Record<string, number>>[]): Record<string, number> => {
  const total: Record<string, number> = {};
  for (const part of parts)
    for (const [name, count] of Object.entries(part)) total[name] = (total[name] ?? 0) + count;
  return total;
};

/** ST-56: the counts of several queues as one. */
export const countsTogether = (queues: readonly QueueCounts[]): Counts => ({
  total: queues.reduce((total, queue) => total + queue.total, 0),
  states: sum(queues.map(({ states }) => states)),
  lanes: sum(queues.map(({ lanes }) => lanes)),
  maxSeq: Math.max(0, ...queues.map(({ maxSeq }) => maxSeq)),
});
