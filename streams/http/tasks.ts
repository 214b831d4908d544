// The HTTP API about tasks and their queues: what is asked, what is answered.
import { waitingLineSchema } from '#streams/dispatch-requests.ts';
import { z } from 'zod';
import { nameSchema, taskIdSchema } from '#streams/ids.ts';
import { taskViewSchema } from '#streams/task-view.ts';
import { TASK_STATES, taskOrderSchema } from '#streams/task.ts';
import {
  boundaryQuery,
  boundaryShape,
  cursorQuery,
  linksAnswer,
  listLimit,
  nextAnswer,
  oneOrMore,
  oneQuery,
  seqAnswer,
  seqQuery,
  type ApiTable,
} from './route.ts';
import { cancelSchema, RUN_API } from './runs.ts';
import { attentionShape, markReadAnswer, markReadSchema } from './sessions.ts';

const order = taskOrderSchema.shape;

/** What tasks take of what runs take; the rest of it would be passed over in silence. */
const ofRuns = RUN_API.createRun.body.pick({
  tenant: true,
  project: true,
  agent: true,
  provider: true,
  prompt: true,
  program: true,
  workspace: true,
  session: true,
  title: true,
  replay: true,
  maxAttempts: true,
  leaseMs: true,
  turnTimeoutMs: true,
  completion: true,
  resumeMismatch: true,
  checkout: true,
  approvals: true,
});

const createTaskSchema = ofRuns.extend({
  queue: nameSchema,
  lane: order.lane.optional(),
  priority: order.priority.optional(),
  labels: order.labels.optional(),
  references: order.references.optional(),
  metadata: order.metadata.optional(),
});
export type CreateTaskInput = z.infer<typeof createTaskSchema>;

const filters = {
  ...boundaryShape,
  queue: nameSchema.optional(),
  lane: nameSchema.optional(),
  state: oneOrMore(TASK_STATES).optional(),
  reader: nameSchema.optional(),
  afterSeq: seqQuery.optional(),
  limit: listLimit,
};
const taskListQuery = z.strictObject({ ...filters, cursor: cursorQuery.optional() });
const changesQuery = z.strictObject({ ...filters, after: seqQuery.default(0) });
const links = linksAnswer('self', 'cancel', 'retry');
const place = { taskId: taskIdSchema, seq: seqAnswer, state: z.enum(TASK_STATES) };
const task = taskViewSchema.extend(attentionShape).meta({ id: 'Task' });

const queueCounts = z
  .object({
    queue: z.string(),
    total: z.int().nonnegative(),
    states: z.partialRecord(z.enum(TASK_STATES), z.int().positive()),
    lanes: z.record(z.string(), z.int().positive()),
    /** Of the last change of any of its tasks. */
    maxSeq: z.int().nonnegative(),
    /** The first that wait, in the order in which they go. */
    next: z.array(z.string()),
  })
  .meta({ id: 'Queue' });

export const TASK_API = {
  createTask: {
    method: 'POST',
    path: '/api/v1/tasks',
    means: 'Put a task in a queue.',
    body: createTaskSchema,
    status: 202,
    answer: z.object({ ...place, repeated: z.boolean(), links }),
  },
  cancelTask: {
    method: 'POST',
    path: '/api/v1/tasks/:id/cancel',
    means: 'Cancel a task and the run that does it. An ended task is left as it is.',
    body: cancelSchema,
    status: 202,
    answer: z.object({ ...place, links }),
  },
  retryTask: {
    method: 'POST',
    path: '/api/v1/tasks/:id/retry',
    means: 'Let a task that failed, is blocked or was cancelled wait for a further attempt.',
    body: boundaryQuery,
    status: 202,
    answer: z.object({ ...place, repeated: z.boolean(), links }),
  },
  listTasks: {
    method: 'GET',
    path: '/api/v1/tasks',
    means: 'List tasks in the order in which they go: higher priority first, then the older one.',
    query: taskListQuery,
    status: 200,
    answer: z.object({ tasks: z.array(task), next: nextAnswer }),
  },
  listTaskChanges: {
    method: 'GET',
    path: '/api/v1/tasks/changes',
    means:
      'Tasks that have changed after a sequence, in the order of their last change. Come again with `after` of the answer; a page may have few or none and say that there is more.',
    query: changesQuery,
    status: 200,
    answer: z.object({ tasks: z.array(task), after: z.int().nonnegative(), hasMore: z.boolean() }),
  },
  getTask: {
    method: 'GET',
    path: '/api/v1/tasks/:id',
    means:
      'A task with its attempts and, while it waits, its place in its queue; with `afterSeq` at least as of that sequence.',
    query: oneQuery.extend({ reader: nameSchema.optional() }),
    status: 200,
    answer: taskViewSchema
      .extend({ ...attentionShape, position: z.int().positive().nullable(), links })
      .meta({ id: 'ShownTask' }),
  },
  listQueues: {
    method: 'GET',
    path: '/api/v1/queues',
    means:
      'Queues: how many tasks in which state and lane, which go next, and why the first ones wait (a limit, no runner, no room, a quota).',
    query: z.strictObject({ ...boundaryShape, queue: nameSchema.optional() }),
    status: 200,
    answer: z.object({
      queues: z.array(queueCounts),
      /** Why the first ones wait, of every line of tasks that ask for the same. */
      waiting: z.array(waitingLineSchema.meta({ id: 'WaitingLine' })),
      /** Why `waiting` is not known; null: it is. */
      waitingProblem: z.string().nullable(),
      generatedAt: z.int(),
    }),
  },
  getCommander: {
    method: 'GET',
    path: '/api/v1/commander',
    means:
      'What a commander of work looks at first: the 20 first tasks, with a reader only those under way or unread; and counts of all tasks of the queue, or of all queues together.',
    query: z.strictObject({ ...boundaryShape, queue: nameSchema.optional(), reader: nameSchema.optional() }),
    status: 200,
    answer: z.object({
      queue: z.string().nullable(),
      readerId: z.string().nullable(),
      tasks: z.array(task),
      stats: z.object({
        queue: z.string().nullable(),
        total: z.int().nonnegative(),
        states: z.partialRecord(z.enum(TASK_STATES), z.int().positive()),
        lanes: z.record(z.string(), z.int().positive()),
        maxSeq: z.int().nonnegative(),
        generatedAt: z.int(),
      }),
      generatedAt: z.int(),
    }),
  },
  readTask: {
    method: 'POST',
    path: '/api/v1/tasks/:id/read',
    means:
      'Note that a reader has seen a task up to a version, which is its `seq`. Moves only forward: what changed after it stays unread.',
    body: markReadSchema,
    status: 202,
    answer: markReadAnswer,
    isReading: true,
  },
} as const satisfies ApiTable;
