// The messages of the Agent Client Protocol (version 1), as far as they mean something to us: JSON-RPC, one message a line. Pure schemas;
// measured on the agents that README.md names. Further fields are ignored everywhere, because each agent adds some.
import { z } from 'zod';

export const PROTOCOL_VERSION = 1;

const requestId = z.union([z.string(), z.number()]);
export type RequestId = z.infer<typeof requestId>;

/** What a line is. A message with a method is a request when it has an id. */
export const requestMessage = z.object({ id: requestId, method: z.string(), params: z.unknown().optional() });
export const notificationMessage = z.object({ method: z.string(), params: z.unknown().optional() });
const rpcError = z.object({
  code: z.number(),
  message: z.string().catch('no reason given'),
  data: z.unknown().optional(),
});
export type RpcError = z.infer<typeof rpcError>;
export const errorMessage = z.object({ id: requestId.nullable(), error: rpcError });
export const resultMessage = z.object({ id: requestId, result: z.unknown() });

const offered = z.unknown().transform((value) => value !== undefined && value !== null && value !== false);

export const initializeResult = z.object({
  protocolVersion: z.number(),
  agentInfo: z.object({ name: z.string(), version: z.string().optional() }).nullish().catch(null),
  agentCapabilities: z
    .object({
      loadSession: offered,
      sessionCapabilities: z.object({ resume: offered }).partial().nullish().catch(null),
    })
    .partial()
    .nullish()
    .catch(null),
});

const modes = z.object({ currentModeId: z.string() }).nullish().catch(null);
export const newSessionResult = z.object({ sessionId: z.string().min(1), modes });
/** The answers to `session/resume` and `session/load`; null counts as an answer. */
export const reopenedResult = z.object({ modes }).nullish();

// A strange number must not make a whole result unreadable.
const count = z.int().nonnegative().nullish().catch(null);

/** What the input side counts leaves out what went into and came from the cache. */
const usage = z.object({
  inputTokens: count,
  outputTokens: count,
  cachedReadTokens: count,
  cachedWriteTokens: count,
});
export type PromptUsage = z.infer<typeof usage>;

/** Told to those who ask for it: why a prompt that ends like any other has failed, or a warning. */
const sessionFailure = z.object({
  id: z.string().default(''),
  severity: z.string().default('error'),
  category: z.string().default(''),
  title: z.string().default(''),
});
const failureMeta = z.object({
  jetbrains: z.object({ air: z.object({ sessionFailure }) }),
});
export type SessionFailure = z.infer<typeof sessionFailure>;

/** The failure that a `_meta` speaks of. */
export const failureIn = (meta: unknown): SessionFailure | undefined => {
  const { data } = failureMeta.safeParse(meta);
  return data?.jetbrains.air.sessionFailure;
};

export const promptResult = z.object({
  stopReason: z.string(),
  usage: usage.nullish().catch(null),
  _meta: z.unknown().optional(),
});

/** Gemini says its tokens here; what came from a cache is in `input_tokens`. */
export const quotaMeta = z.object({
  quota: z.object({ token_count: z.object({ input_tokens: count, output_tokens: count }) }),
});

export const permissionRequest = z.object({
  sessionId: z.string(),
  toolCall: z.object({ toolCallId: z.string().min(1) }).catchall(z.unknown()),
  options: z.array(z.object({ optionId: z.string(), name: z.string().default(''), kind: z.string() })),
});
export type PermissionRequest = z.infer<typeof permissionRequest>;
export type PermissionOption = PermissionRequest['options'][number];
