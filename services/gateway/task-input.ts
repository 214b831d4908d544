// What the HTTP API takes about tasks. Strict, as all of its input: an unknown field is a mistake that is named.
import { z } from 'zod';
import { nameSchema } from '#streams/ids.ts';
import { TASK_STATES, taskOrderSchema } from '#streams/task.ts';
import { boundaryQuery, createRunSchema, listLimit, oneOrMore, seqQuery } from './input.ts';

const order = taskOrderSchema.shape;

/** What tasks take of what runs take; the rest of it would be passed over in silence. */
const ofRuns = createRunSchema.pick({
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
});

export const createTaskSchema = ofRuns.extend({
  queue: nameSchema,
  lane: order.lane.optional(),
  priority: order.priority.optional(),
  labels: order.labels.optional(),
  references: order.references.optional(),
  metadata: order.metadata.optional(),
});
export type CreateTaskInput = z.infer<typeof createTaskSchema>;

const filters = {
  ...boundaryQuery.shape,
  queue: nameSchema.optional(),
  lane: nameSchema.optional(),
  state: oneOrMore(TASK_STATES).optional(),
  limit: listLimit,
};
export const taskListQuery = z.strictObject({ ...filters, cursor: z.string().max(200).optional() });
export const changesQuery = z.strictObject({ ...filters, after: seqQuery.default(0) });
export const queuesQuery = z.strictObject({ ...boundaryQuery.shape, queue: nameSchema.optional() });
