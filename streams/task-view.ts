// The value of the bucket `tasks`: the summary of a task, folded from its transitions. Readable JSON, stamped with the sequence that
// it reflects. Does not hold what was asked for word by word: that is in the task's first transition.
import { z } from 'zod';
import { runFailureSchema } from './run-requests.ts';
import { providerSchema } from './run.ts';
import { ATTEMPT_OUTCOMES, TASK_STATES } from './task.ts';

const epochMs = z.int().nonnegative();

/** Attempts that the summary shows, newest last; the log has them all. */
export const MAX_SHOWN_ATTEMPTS = 100;

const shownAttemptSchema = z.object({
  attempt: z.int().positive(),
  runId: z.string(),
  sessionId: z.string(),
  agent: z.string(),
  /** Why it was given up before a runner began it; null when it was not. */
  recalled: z.string().nullable(),
  /** Null while it is under way. */
  outcome: z.enum(ATTEMPT_OUTCOMES).nullable(),
  failure: runFailureSchema.nullable(),
  assignedAt: epochMs,
  startedAt: epochMs.nullable(),
  endedAt: epochMs.nullable(),
});

/** Bucket `tasks`, folded from the task transitions of TRANSITIONS. */
export const taskViewSchema = z.object({
  seq: z.int().positive(),
  tenant: z.string(),
  project: z.string(),
  taskId: z.string(),
  queue: z.string(),
  lane: z.string(),
  priority: z.int(),
  title: z.string().nullable(),
  provider: providerSchema,
  agent: z.string().nullable(),
  labels: z.array(z.string()),
  sessionId: z.string().nullable(),
  state: z.enum(TASK_STATES),
  attempts: z.array(shownAttemptSchema),
  attemptCount: z.int().nonnegative(),
  maxAttempts: z.int().positive(),
  /** Sequence of the transition that put it in the queue: among equals of one priority the lower one goes first. */
  queuedSeq: z.int().positive(),
  /** Last words of the last attempt. */
  summary: z.string().nullable(),
  failure: runFailureSchema.nullable(),
  /** Why it is blocked, being cancelled, or cancelled. */
  reason: z.string().nullable(),
  references: z.array(z.string()),
  metadata: z.record(z.string(), z.string()),
  createdAt: epochMs,
  endedAt: epochMs.nullable(),
  updatedAt: epochMs,
});
export type TaskView = z.infer<typeof taskViewSchema>;
