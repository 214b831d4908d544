// Requests that the tasks service answers (requests.ts has what all services share), at fleet-api.<tenant>.<project>.tasks.<operation>.
// Asked by the control plane: the gateway for people, dispatch for hand-overs. Each may be repeated.
import { z } from 'zod';
import { MAX_GRANTS } from './admission.ts';
import { nameSchema, taskIdSchema } from './ids.ts';
import { actorSchema, answering, type AnswerOf, type RequestOf, type ResultOf } from './requests.ts';
import { TASK_STATES, taskOrderSchema } from './task.ts';

/** Where the task's transition stands in TRANSITIONS: pass it to a read to see at least this. */
const position = { taskId: taskIdSchema, seq: z.int().positive(), state: z.enum(TASK_STATES) };

/** Made by whoever asks: what is repeated under it is one request. */
const requestId = z.string().min(1).max(128);

const orderSchema = taskOrderSchema.extend({
  request: taskOrderSchema.shape.request.refine(
    ({ prompt }) => prompt.trim() !== '',
    'a prompt must say something: blanks alone do nothing',
  ),
});

export const TASK_REQUESTS = {
  create: {
    means:
      'Put a task in its queue. The same task id with the same order answers with the first one; with another order it is refused.',
    request: orderSchema.extend({ taskId: taskIdSchema, actor: actorSchema }),
    answer: answering(z.object({ ...position, repeated: z.boolean() })),
  },
  cancel: {
    means:
      'Cancel a task. One that waits is cancelled at once; one under way when its run has ended, which is cancelled. An ended task is left as it is.',
    request: z.object({
      taskId: taskIdSchema,
      requestId,
      reason: z.string().min(1).max(500),
      actor: actorSchema,
    }),
    answer: answering(z.object(position)),
  },
  retry: {
    means:
      'Let a task that failed, is blocked or was cancelled wait for a further attempt. All attempts are kept.',
    request: z.object({ taskId: taskIdSchema, requestId, actor: actorSchema }),
    answer: answering(z.object({ ...position, repeated: z.boolean() })),
  },
  assign: {
    means:
      'Hand tasks to agents: one grant and the tasks’ own transitions. Refused when another grant was made after the one that the asker has seen last, or when the only task has gone on meanwhile; of several, those that do not wait any more are left out.',
    request: z.object({
      grantId: requestId,
      /** Sequence of the last grant that the asker has seen; 0: none. */
      expectedSeq: z.int().nonnegative(),
      dispatcher: z.string().min(1).max(128),
      grants: z
        .array(z.object({ taskId: taskIdSchema, attempt: z.int().positive(), agent: nameSchema }))
        .min(1)
        .max(MAX_GRANTS),
    }),
    answer: answering(
      z.object({
        /** Tasks that were handed over. */
        granted: z.array(taskIdSchema),
        /** Whoever has seen TRANSITIONS up to here has seen what became of every task asked for. */
        upToSeq: z.int().nonnegative(),
      }),
    ),
  },
  recall: {
    means: 'Take an attempt back that no runner has begun. One that was begun or is over is left as it is.',
    request: z.object({
      taskId: taskIdSchema,
      attempt: z.int().positive(),
      reason: z.string().min(1).max(500),
      actor: actorSchema,
    }),
    answer: answering(z.object(position)),
  },
} as const;

export type TaskOperation = keyof typeof TASK_REQUESTS;
export type TaskRequestOf<Op extends TaskOperation> = RequestOf<typeof TASK_REQUESTS, Op>;
export type TaskAnswerOf<Op extends TaskOperation> = AnswerOf<typeof TASK_REQUESTS, Op>;
export type TaskResultOf<Op extends TaskOperation> = ResultOf<typeof TASK_REQUESTS, Op>;
