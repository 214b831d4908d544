// How a turn ended and what it cost, as reports and transitions carry it.
import { z } from 'zod';

/**
 * Why a run failed. `runner-lost`: its lease expired; `provider-failed`: the program said so or ended badly; `infra-failed`: the runner could
 * not start it; `session-lost`: the program was not in the conversation it was asked to go on with, and the run's rule is to fail then;
 * `provider-limited`: whoever pays for the program has used up what it may use for now.
 */
const failureKindSchema = z.enum([
  'provider-failed',
  'infra-failed',
  'runner-lost',
  'turn-timeout',
  'protocol-invalid',
  'session-lost',
  'provider-limited',
]);
export type FailureKind = z.infer<typeof failureKindSchema>;

/** Why something failed. */
export const failureSchema = z.object({
  kind: failureKindSchema,
  message: z.string().max(4000),
  /** Of `provider-limited`: before then the same asks in vain, epoch ms. */
  retryAt: z.int().nonnegative().optional(),
  /** Nothing was done, and the runner, its machine or its account with the provider is why, not what was asked: somebody else may do it. */
  unfit: z.boolean().optional(),
});

/** What a turn cost, as far as the provider says. */
export const usageSchema = z.object({
  /** Everything the model read, what came from its cache included. */
  inputTokens: z.int().nonnegative().optional(),
  /** The part of `inputTokens` that came from the cache. */
  cachedInputTokens: z.int().nonnegative().optional(),
  outputTokens: z.int().nonnegative().optional(),
  costMicroUsd: z.int().nonnegative().optional(),
});

/**
 * How a turn ended. `outcome` is decided by the runner as a total function of the agent's own word, closing event, exit code, signal and
 * cancel. `yielded`: ended well, and the work is not done; `blocked`: the agent says that it cannot go on, and `summary` says why.
 */
export const turnResultSchema = z.object({
  outcome: z.enum(['done', 'yielded', 'blocked', 'failed', 'cancelled']),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  /** Last words of the program, for a list. */
  summary: z.string().max(2000),
  failure: failureSchema.nullable(),
  usage: usageSchema.optional(),
  durationMs: z.number().nonnegative(),
  events: z.int().nonnegative(),
});
export type TurnResult = z.infer<typeof turnResultSchema>;
