// The task aggregate on the wire: its commands, its events and their schemas. An item of a named queue with lane and priority; its
// attempts are runs. The rules are in services/tasks/task.decider.ts; who gets which task is decided by dispatch (admission.ts).
import { z } from 'zod';
import { nameSchema, runIdSchema, sessionIdSchema, taskIdSchema } from './ids.ts';
import { providerSchema, replayRuleSchema, runRequestSchema } from './run.ts';
import { failureSchema } from './turn-result.ts';

const epochMs = z.int().nonnegative();
const attempt = z.int().positive();

/** Higher goes first; 0 unless asked otherwise. */
const prioritySchema = z.int().min(-1000).max(1000);

type TaskFailure = z.infer<typeof failureSchema>;

/** Everything that was asked for: what the idempotency hash covers. */
export const taskOrderSchema = z.object({
  queue: nameSchema,
  lane: nameSchema,
  priority: prioritySchema,
  title: z.string().max(120).nullable(),
  provider: providerSchema,
  /** The only agent that may do it; null: any whose runner has the provider and the labels. */
  agent: nameSchema.nullable(),
  /** What the runner must have been given, all of them. */
  labels: z.array(nameSchema).max(16),
  /** The conversation to go on in (its agent is then the only one); null: a new one for each attempt. */
  sessionId: sessionIdSchema.nullable(),
  request: runRequestSchema,
  /** What becomes of the task when the runner of an attempt is lost: `requeue` waits for another, up to `maxAttempts`. */
  replay: replayRuleSchema,
  maxAttempts: z.int().min(1).max(100),
  leaseMs: z.int().min(2000).max(3_600_000),
  /** Where it comes from, for people: URLs, ticket numbers. */
  references: z.array(z.string().min(1).max(500)).max(32),
  metadata: z.record(nameSchema, z.string().max(500)),
});
export type TaskOrder = z.infer<typeof taskOrderSchema>;

const createdSchema = z.object({
  type: z.literal('fleetlog.task.created.v1'),
  taskId: taskIdSchema,
  ...taskOrderSchema.shape,
  /** SHA-256 (hex) of the whole order: tells the repeat of a request from another one under the same idempotency key. */
  requestHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** Who asked for it: `user:anna`. */
  createdBy: z.string().min(1).max(128).optional(),
  createdAt: epochMs,
});

/** Every event names its task and queue; those of an attempt name its number (from 1) and run. */
const about = { taskId: taskIdSchema, queue: nameSchema };
const aboutAttempt = { ...about, attempt, runId: runIdSchema };

const assignedSchema = z.object({
  type: z.literal('fleetlog.task.assigned.v1'),
  ...aboutAttempt,
  sessionId: sessionIdSchema,
  agent: nameSchema,
  assignedAt: epochMs,
});

const startedSchema = z.object({
  type: z.literal('fleetlog.task.started.v1'),
  ...aboutAttempt,
  startedAt: epochMs,
});

const recalledSchema = z.object({
  type: z.literal('fleetlog.task.recalled.v1'),
  ...aboutAttempt,
  reason: z.string().max(500),
  recalledAt: epochMs,
});

const requeuedSchema = z.object({
  type: z.literal('fleetlog.task.requeued.v1'),
  ...aboutAttempt,
  /** How the attempt ended. */
  outcome: z.enum(['failed', 'cancelled']),
  failure: failureSchema.nullable(),
  endedAt: epochMs,
});

const cancelRequestedSchema = z.object({
  type: z.literal('fleetlog.task.cancel-requested.v1'),
  ...aboutAttempt,
  reason: z.string().max(500),
  requestedAt: epochMs,
});

const ended = { ...aboutAttempt, summary: z.string().max(2000), endedAt: epochMs };

const completedSchema = z.object({ type: z.literal('fleetlog.task.completed.v1'), ...ended });

const failedSchema = z.object({
  type: z.literal('fleetlog.task.failed.v1'),
  ...ended,
  failure: failureSchema,
});

const blockedSchema = z.object({
  type: z.literal('fleetlog.task.blocked.v1'),
  ...ended,
  /** What the agent cannot get over by itself. */
  reason: z.string().max(4000),
});

/** How an attempt can end. */
export const ATTEMPT_OUTCOMES = ['completed', 'failed', 'blocked', 'cancelled'] as const;
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

const cancelledSchema = z.object({
  type: z.literal('fleetlog.task.cancelled.v1'),
  ...about,
  /** The attempt that was under way and how it ended; null when the task was waiting. */
  last: z.object({ attempt, runId: runIdSchema, outcome: z.enum(ATTEMPT_OUTCOMES) }).nullable(),
  reason: z.string().max(500),
  endedAt: epochMs,
});

const retriedSchema = z.object({
  type: z.literal('fleetlog.task.retried.v1'),
  ...about,
  /** Attempts before; all are kept. */
  attempts: z.int().nonnegative(),
  retriedAt: epochMs,
});

/** Every event that was ever appended to a task's subject. Unknown keys are dropped at reading: changes are additive. */
export const taskEventSchema = z.discriminatedUnion('type', [
  createdSchema,
  assignedSchema,
  startedSchema,
  recalledSchema,
  requeuedSchema,
  cancelRequestedSchema,
  completedSchema,
  failedSchema,
  blockedSchema,
  cancelledSchema,
  retriedSchema,
]);
export type TaskEvent = z.infer<typeof taskEventSchema>;
export type TaskCreated = z.infer<typeof createdSchema>;

/** How the run of an attempt ended. */
export interface AttemptEnd {
  readonly outcome: AttemptOutcome;
  /** Present when it failed. */
  readonly failure: TaskFailure | null;
  /** Last words for a list; of a blocked one what it cannot get over, of a cancelled one why. */
  readonly summary: string;
  readonly endedAt: number;
}

/** What can be asked of a task. What concerns an attempt names its number and run: news of an earlier one changes nothing. */
export type TaskCommand =
  | { readonly kind: 'create'; readonly data: Omit<TaskCreated, 'type' | 'createdAt'> }
  | {
      readonly kind: 'assign';
      readonly attempt: number;
      readonly runId: string;
      /** Of a task that goes on in no given conversation. */
      readonly newSessionId: string;
      readonly agent: string;
    }
  | {
      readonly kind: 'start';
      readonly attempt: number;
      readonly runId: string;
      readonly startedAt: number;
    }
  | { readonly kind: 'end'; readonly attempt: number; readonly runId: string; readonly end: AttemptEnd }
  /** The runner went away before it began: the attempt is given up and the task waits again. */
  | { readonly kind: 'recall'; readonly attempt: number; readonly reason: string }
  | { readonly kind: 'cancel'; readonly reason: string }
  | { readonly kind: 'retry' };

/** States of a task. `completed` absorbs everything; the other three ends absorb everything but a retry. */
export const TASK_STATES = [
  'pending',
  'assigned',
  'running',
  'cancelling',
  'completed',
  'failed',
  'blocked',
  'cancelled',
] as const;
export type TaskStateName = (typeof TASK_STATES)[number];
