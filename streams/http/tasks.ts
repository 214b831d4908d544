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
  limit: listLimit,
};
const taskListQuery = z.strictObject({ ...filters, cursor: cursorQuery.optional() });
const changesQuery = z.strictObject({ ...filters, after: seqQuery.default(0) });
/** What of tasks is wanted. */
export type TaskFilters = Pick<z.infer<typeof taskListQuery>, 'queue' | 'lane' | 'state'>;

const links = linksAnswer('self', 'cancel', 'retry');
const place = { taskId: taskIdSchema, seq: seqAnswer, state: z.enum(TASK_STATES) };
const task = taskViewSchema.meta({ id: 'Task' });

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
      'Tasks that have changed after a sequence, in the order of their last change. Come again with `after` of the answer.',
    query: changesQuery,
    status: 200,
    answer: z.object({ tasks: z.array(task), after: z.int().nonnegative(), hasMore: z.boolean() }),
  },
  getTask: {
    method: 'GET',
    path: '/api/v1/tasks/:id',
    means:
      'A task with its attempts and, while it waits, its place in its queue; with `afterSeq` at least as of that sequence.',
    query: oneQuery,
    status: 200,
    answer: taskViewSchema
      .extend({ position: z.int().positive().nullable(), links })
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
      queues: z.array(
        z
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
          .meta({ id: 'Queue' }),
      ),
      /** Why the first ones wait, of every line of tasks that ask for the same. */
      waiting: z.array(waitingLineSchema.meta({ id: 'WaitingLine' })),
      /** Why `waiting` is not known; null: it is. */
      waitingProblem: z.string().nullable(),
      generatedAt: z.int(),
    }),
  },
} as const satisfies ApiTable;
