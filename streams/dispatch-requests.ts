// Requests that dispatch answers (requests.ts has what all services share), at fleet-api.<tenant>.<project>.dispatch.<operation>. They
// change nothing: what dispatch decides is on the log.
import { z } from 'zod';
import { nameSchema, taskIdSchema } from './ids.ts';
import { answering, type RequestOf, type ResultOf } from './requests.ts';

/**
 * Why a task waits. The first four: that limit is reached. `no-runner`: nobody who is there has its provider and labels. The rest is what keeps
 * those who could do it: their slots or the agent's limit, its provider's quota, that it could do nothing
 * of what it got last (`runner-unfit`), the limit, memory or disk of the machine. `going`: it is being handed over.
 */
const WAIT_REASONS = [
  'fleet-limit',
  'queue-limit',
  'lane-limit',
  'provider-limit',
  'no-runner',
  'slots',
  'agent-limit',
  'provider-paused',
  'runner-unfit',
  'host-limit',
  'host-memory',
  'host-disk',
  'going',
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

/** The first of those that ask for the same; what holds for it holds for all behind it. */
export const waitingLineSchema = z.object({
  queue: nameSchema,
  lane: nameSchema,
  provider: z.string(),
  agent: nameSchema.nullable(),
  labels: z.array(nameSchema),
  /** How many wait in it. */
  waiting: z.int().positive(),
  taskId: taskIdSchema,
  reason: z.enum(WAIT_REASONS),
  /** The same in words, with figures. */
  because: z.string(),
  /** When that ends at the latest, epoch ms; null: nobody knows. */
  untilMs: z.int().nonnegative().nullable(),
});
export type WaitingLine = z.infer<typeof waitingLineSchema>;

/** Lines of one answer. */
export const MOST_LINES = 500;

export const DISPATCH_REQUESTS = {
  explain: {
    means: 'Say why the first tasks of queues wait, first in order first.',
    request: z.object({ queue: nameSchema.optional() }),
    answer: answering(
      z.object({
        lines: z.array(waitingLineSchema).max(MOST_LINES),
        /** There are more lines than an answer holds. */
        hasMore: z.boolean(),
      }),
    ),
  },
} as const;

export type DispatchRequestOf<Op extends keyof typeof DISPATCH_REQUESTS> = RequestOf<
  typeof DISPATCH_REQUESTS,
  Op
>;
export type DispatchResultOf<Op extends keyof typeof DISPATCH_REQUESTS> = ResultOf<
  typeof DISPATCH_REQUESTS,
  Op
>;
