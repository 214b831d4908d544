// The lines that `codex exec --json` prints. Pure schemas; measured on version 0.169.0. Further fields are ignored.
import { z } from 'zod';

const count = z.int().nonnegative().catch(0);
const callId = z.string().min(1);

const anyItem = z.object({ id: callId, type: z.string() }).catchall(z.unknown());
export const itemSchema = z.discriminatedUnion('type', [
  z.object({ id: callId, type: z.literal('agent_message'), text: z.string() }),
  z.object({ id: callId, type: z.literal('reasoning'), text: z.string() }),
  /** A warning; what ends the turn is `turn.failed`. */
  z.object({ id: callId, type: z.literal('error'), message: z.string() }),
  z.object({
    id: callId,
    type: z.literal('command_execution'),
    command: z.string(),
    aggregated_output: z.string().default(''),
    exit_code: z.number().nullish(),
    status: z.string(),
  }),
  z.object({
    id: callId,
    type: z.literal('file_change'),
    changes: z.array(z.object({ path: z.string().min(1), kind: z.string() })),
    status: z.string(),
  }),
  z.object({
    id: callId,
    type: z.literal('mcp_tool_call'),
    server: z.string().default(''),
    tool: z.string().default(''),
    arguments: z.unknown().default(null),
    result: z.unknown().optional(),
    error: z.object({ message: z.string() }).nullish(),
    status: z.string(),
  }),
]);
export type CodexItem = z.infer<typeof itemSchema>;

export const lineSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('thread.started'), thread_id: z.string().min(1) }),
  z.object({ type: z.literal('turn.started') }),
  z.object({ type: z.literal('item.started'), item: anyItem }),
  z.object({ type: z.literal('item.updated'), item: anyItem }),
  z.object({ type: z.literal('item.completed'), item: anyItem }),
  z.object({
    type: z.literal('turn.completed'),
    /** Of the whole thread, over every turn and resume. `input_tokens` holds the cached ones. */
    usage: z
      .object({ input_tokens: count, cached_input_tokens: count, output_tokens: count })
      .optional()
      .catch(undefined),
  }),
  z.object({ type: z.literal('turn.failed'), error: z.object({ message: z.string() }) }),
  /** Trying again, or said once more by `turn.failed`: not the end. */
  z.object({ type: z.literal('error'), message: z.string() }),
]);
export type CodexLine = z.infer<typeof lineSchema>;
