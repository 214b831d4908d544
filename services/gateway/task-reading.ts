// What is read of tasks: pages in the order in which tasks go, changes in the order in which they happened, the place of a waiting task
// in its queue, and counts by queue. All from the summaries in memory. Changes nothing.
import { Fault } from '#libs/kernel/fault.ts';
import { viewKey } from '#streams/buckets.ts';
import { taskIdSchema } from '#streams/ids.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { compareRank } from '#streams/task-order.ts';
import type { TaskView } from '#streams/task-view.ts';
import type { TaskStateName } from '#streams/task.ts';
import { refuse, type GatewayParts, type Refused } from './http.ts';
import type { ListOrder } from './list-page.ts';

/** ST-51: higher priority first, then the older one. None of it ever changes. */
interface TaskPosition {
  readonly priority: number;
  readonly createdAt: number;
  readonly taskId: string;
}

const invalidCursor = (text: string): Fault =>
  new Fault({
    code: 'CURSOR_INVALID',
    retry: 'never',
    message: `${JSON.stringify(text.slice(0, 80))} is not a cursor of this API; expected the cursor of an earlier page`,
  });

export const TASK_ORDER: ListOrder<TaskPosition> = {
  isBefore: (a, b) => {
    if (a.priority !== b.priority) return a.priority > b.priority;
    return a.createdAt < b.createdAt || (a.createdAt === b.createdAt && a.taskId < b.taskId);
  },
  format: ({ priority, createdAt, taskId }) =>
    Buffer.from(`${priority}:${createdAt}:${taskId}`).toString('base64url'),
};

/** Throws `CURSOR_INVALID` (never). */
export const parseTaskCursor = (text: string): TaskPosition => {
  const match = /^(-?\d{1,4}):(\d{1,15}):(\w{1,40})$/.exec(Buffer.from(text, 'base64url').toString('utf8'));
  if (match?.[3] === undefined) throw invalidCursor(text);
  return { priority: Number(match[1]), createdAt: Number(match[2]), taskId: match[3] };
};

/** By the last transition, oldest first: a reader that comes again with the last sequence misses no task that has changed. */
export const CHANGE_ORDER: ListOrder<number> = { isBefore: (a, b) => a < b, format: String };

/** Where everything about a task is. */
export const taskLinks = (taskId: string) => {
  const self = `/api/v1/tasks/${taskId}`;
  return { self, cancel: `${self}/cancel`, retry: `${self}/retry` };
};

/** Every task served here. */
export function* allTasks({ views, boundary }: GatewayParts): Generator<TaskView> {
  const prefix = viewKey(boundary, '');
  for (const [, { seq, state }] of views.tasks.list((key) => key.startsWith(prefix))) yield { seq, ...state };
}

/** HR-14, HR-15: the place of a waiting task in its queue, from 1, as it is now; null for one that does not wait. */
const positionOf = (parts: GatewayParts, task: TaskView): number | null => {
  if (task.state !== 'pending') return null;
  let position = 1;
  for (const other of allTasks(parts))
    if (other.state === 'pending' && other.queue === task.queue && compareRank(other, task) < 0)
      position += 1;
  return position;
};

/** A task with its place. */
export type ShownTask = TaskView & { readonly position: number | null };

const unknownTask = (taskId: string): Refused =>
  refuse('TASK_UNKNOWN', `no task ${taskId.slice(0, 100)} in this tenant and project`);

/**
 * The task as the summary shows it, at least as of `afterSeq` (a sequence of TRANSITIONS); what it does not show yet is looked up in the
 * log before it is called unknown. Refusal: `TASK_UNKNOWN`. Faults: `VIEW_BEHIND` (later), the log's.
 */
export const findTask = async (
  parts: GatewayParts,
  taskId: string,
  afterSeq = 0,
): Promise<ShownTask | Refused> => {
  if (!taskIdSchema.safeParse(taskId).success) return unknownTask(taskId);
  const { views, boundary, transitions, config } = parts;
  const key = viewKey(boundary, taskId);
  const wait = { timeoutMs: config.readWaitMs, key };
  if (afterSeq > 0) await views.tasks.waitFor(afterSeq, wait);
  if (views.tasks.get(key) === undefined) {
    const last = await transitions.last(aggregateSubject(boundary, 'task', taskId));
    if (last !== undefined) await views.tasks.waitFor(last.seq, wait);
  }
  const found = views.tasks.get(key);
  if (found !== undefined) {
    const task = { seq: found.seq, ...found.state };
    return { ...task, position: positionOf(parts, task) };
  }
  return unknownTask(taskId);
};

/** ST-56: how many of what. */
export interface QueueCounts {
  readonly queue: string;
  readonly total: number;
  readonly states: Readonly<Partial<Record<TaskStateName, number>>>;
  readonly lanes: Readonly<Record<string, number>>;
  /** Of the last change of any of its tasks. */
  readonly maxSeq: number;
  /** The first that wait, in the order in which they go. */
  readonly next: readonly string[];
}

const SHOWN_WAITING = 10;

class Counting {
  readonly #queue: string;
  readonly #states: Partial<Record<TaskStateName, number>> = {};
  readonly #lanes: Record<string, number> = {};
  readonly #waiting: TaskView[] = [];
  #total = 0;
  #maxSeq = 0;

  constructor(queue: string) {
    this.#queue = queue;
  }

  add(task: TaskView): void {
    this.#total += 1;
    this.#maxSeq = Math.max(this.#maxSeq, task.seq);
    this.#states[task.state] = (this.#states[task.state] ?? 0) + 1;
    this.#lanes[task.lane] = (this.#lanes[task.lane] ?? 0) + 1;
    if (task.state === 'pending') this.#waiting.push(task);
  }

  done(): QueueCounts {
    const next = this.#waiting.toSorted(compareRank).slice(0, SHOWN_WAITING);
    return {
      queue: this.#queue,
      total: this.#total,
      states: this.#states,
      lanes: this.#lanes,
      maxSeq: this.#maxSeq,
      next: next.map(({ taskId }) => taskId),
    };
  }
}

/** The counts of every queue that ever had a task, or of one, by name. */
export const countQueues = (tasks: Iterable<TaskView>, only: string | undefined): readonly QueueCounts[] => {
  const queues = new Map<string, Counting>();
  for (const task of tasks) {
    if (only !== undefined && task.queue !== only) continue;
    const counting = queues.get(task.queue) ?? new Counting(task.queue);
    queues.set(task.queue, counting);
    counting.add(task);
  }
  return [...queues].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, counting]) => counting.done());
};
