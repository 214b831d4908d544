// The lines that `claude -p --output-format stream-json --verbose` prints, as far as they mean something to us. Pure schemas; measured on
// version 2.1.329. Further fields are ignored everywhere, because each version adds some.
import { z } from 'zod';

// A strange number must not make a whole result unreadable.
const count = z.int().nonnegative().catch(0);

/** Of one turn. `input_tokens` leaves out what went into and came from the cache. */
const usage = z.object({
  input_tokens: count,
  output_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
});

const block = z.object({ type: z.string() }).catchall(z.unknown());

export const systemLine = z.object({
  type: z.literal('system'),
  subtype: z.string(),
});
export const initLine = z.object({
  subtype: z.literal('init'),
  session_id: z.string().min(1),
  cwd: z.string().optional(),
  claude_code_version: z.string().optional(),
});
export const retryLine = z.object({
  subtype: z.literal('api_retry'),
  attempt: z.number(),
  max_retries: z.number(),
  retry_delay_ms: z.number(),
  error_status: z.number().nullish(),
  error: z.string().nullish(),
});
export const deniedLine = z.object({
  subtype: z.literal('permission_denied'),
  tool_name: z.string(),
  message: z.string().default(''),
});

/** One API message comes as several of these, one a content block. Its usage is not to be counted. */
export const assistantLine = z.object({
  type: z.literal('assistant'),
  message: z.object({ model: z.string().optional(), content: z.array(block) }),
  /** The tool call whose subagent speaks; null: the agent itself. */
  parent_tool_use_id: z.string().nullish(),
});

/** What becomes of a message of its input, by the id that it was sent under: `queued`, `started` (the model gets it), `completed`. */
export const lifecycleLine = z.object({ command_uuid: z.string().min(1), state: z.string() });

export const userLine = z.object({
  type: z.literal('user'),
  message: z.object({ content: z.union([z.string(), z.array(block)]) }),
  tool_use_result: z.unknown().optional(),
});

/** `type` is not the first key of this line, and it need not be the last line. */
export const resultLine = z.object({
  type: z.literal('result'),
  /** Only `is_error` says whether it went well: `subtype` is `success` when the API failed. */
  is_error: z.boolean(),
  subtype: z.string().default(''),
  session_id: z.string().optional(),
  result: z.string().nullish(),
  errors: z.array(z.string()).optional().catch(undefined),
  stop_reason: z.string().nullish(),
  terminal_reason: z.string().nullish(),
  deferred_tool_use: z
    .object({ id: z.string().min(1), name: z.string().min(1), input: z.unknown() })
    .nullish()
    .catch(null),
  total_cost_usd: z.number().nonnegative().optional().catch(undefined),
  usage: usage.optional().catch(undefined),
  model_usage_since_last_result: z
    .record(z.string(), z.object({ costUSD: z.number() }))
    .nullish()
    .catch(null),
});
export type ResultLine = z.infer<typeof resultLine>;

export const textBlock = z.object({ type: z.literal('text'), text: z.string() });
export const thinkingBlock = z.object({ type: z.literal('thinking'), thinking: z.string() });
export const toolUseBlock = z.object({
  type: z.enum(['tool_use', 'server_tool_use', 'mcp_tool_use']),
  id: z.string().min(1),
  name: z.string().min(1),
  input: z.unknown().default(null),
});
export const toolResultBlock = z.object({
  type: z.string().endsWith('tool_result'),
  tool_use_id: z.string().min(1),
  content: z.unknown().optional(),
  is_error: z.boolean().nullish(),
});

/** What Write and Edit say they did. Write says `type`; Edit says what it replaced. */
export const fileResult = z.union([
  z.object({ filePath: z.string().min(1), type: z.enum(['create', 'update']) }),
  z.object({ filePath: z.string().min(1), oldString: z.string() }),
]);

/** How much of a quota is left, told when that changes. `rejected`: nothing, unless what is used beyond it is paid for. */
export const rateLimitLine = z.object({
  type: z.literal('rate_limit_event'),
  rate_limit_info: z.object({
    status: z.string(),
    /** Seconds of the epoch. */
    resetsAt: z.number().nonnegative().nullish().catch(null),
    isUsingOverage: z.boolean().nullish().catch(null),
  }),
});

export type RateLimitLine = z.infer<typeof rateLimitLine>;

/** Lines that say nothing a report would carry: progress, and what other lines say again. */
export const SILENT_TYPES: ReadonlySet<string> = new Set([
  'stream_event',
  'attachment',
  'control_request',
  'control_response',
]);
export const SILENT_SUBTYPES: ReadonlySet<string> = new Set([
  'status',
  'thinking_tokens',
  'hook_started',
  'hook_response',
  'task_started',
  'task_progress',
  'task_updated',
  'task_notification',
  'background_tasks_changed',
]);
