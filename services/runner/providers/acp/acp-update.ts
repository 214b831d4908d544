// What an agent says during a prompt (`session/update`), as schemas. Pure. What is not known here is kept as an unknown line.
import { z } from 'zod';

export const sessionUpdate = z.object({
  sessionId: z.string(),
  update: z.object({ sessionUpdate: z.string() }).catchall(z.unknown()),
});

/** A piece of content; of what is no text only the kind is told. */
const content = z.object({ type: z.string() }).catchall(z.unknown());
type Content = z.infer<typeof content>;

export const chunk = z.object({
  sessionUpdate: z.enum(['agent_message_chunk', 'agent_thought_chunk']),
  content,
});

const inner = z.object({ type: z.literal('content'), content });
const diff = z.object({
  type: z.literal('diff'),
  path: z.string().min(1),
  oldText: z.string().nullish(),
  newText: z.string().nullish(),
});
const terminal = z.object({ type: z.literal('terminal') });
const callContent = z.union([inner, diff, terminal, content]);
export type CallContent = z.infer<typeof callContent>;

/** Asked for by `terminal_output` among our capabilities: output of a command that has a terminal of the agent's own. */
const terminalMeta = z.object({ terminal_output: z.object({ data: z.string() }) });
const terminalExit = z.object({ terminal_exit: z.object({ exit_code: z.number().nullish() }) });
const toolNameMeta = z.object({ claudeCode: z.object({ toolName: z.string().min(1) }) });

const text = z.string().nullish().catch(null);
/** Of `tool_call`, `tool_call_update` and the call in a permission request: each says what it knows. */
export const toolCall = z.object({
  toolCallId: z.string().min(1),
  name: text,
  title: text,
  kind: text,
  status: text,
  content: z.array(callContent).nullish().catch(null),
  rawInput: z.unknown().optional(),
  rawOutput: z.unknown().optional(),
  _meta: z.unknown().optional(),
});
export type ToolCall = z.infer<typeof toolCall>;

/** Output of the call's terminal that this message adds. */
export const terminalOutput = ({ _meta }: ToolCall): string =>
  terminalMeta.safeParse(_meta).data?.terminal_output.data ?? '';
export const terminalExitCode = ({ _meta }: ToolCall): number | null | undefined =>
  terminalExit.safeParse(_meta).data?.terminal_exit.exit_code;
export const toolNameIn = ({ _meta }: ToolCall): string | undefined =>
  toolNameMeta.safeParse(_meta).data?.claudeCode.toolName;

const STATUS = { pending: 'pending', in_progress: 'in-progress', completed: 'completed' } as const;
export const plan = z.object({
  sessionUpdate: z.literal('plan'),
  entries: z.array(
    z.object({
      content: z.string(),
      status: z.enum(['pending', 'in_progress', 'completed']).transform((status) => STATUS[status]),
      priority: z.enum(['high', 'medium', 'low']).optional().catch(undefined),
    }),
  ),
});

export const modeChange = z.object({
  sessionUpdate: z.literal('current_mode_update'),
  currentModeId: z.string(),
});

/** `used` and `size` are of the context; the cost is of the whole conversation. */
export const usageUpdate = z.object({
  sessionUpdate: z.literal('usage_update'),
  cost: z.object({ amount: z.number().nonnegative(), currency: z.string() }).nullish().catch(null),
});

export const notice = z.object({
  sessionUpdate: z.literal('notice'),
  severity: z.string(),
  title: z.string(),
  description: text,
});

export const infoUpdate = z.object({
  sessionUpdate: z.literal('session_info_update'),
  _meta: z.unknown().optional(),
});

/** Updates that say nothing a report would carry. */
export const SILENT_UPDATES: ReadonlySet<string> = new Set([
  'user_message_chunk',
  'available_commands_update',
  'config_option_update',
  'session_info_update',
  'usage_update',
]);
/** Notifications beside `session/update` that say nothing a report would carry. */
export const SILENT_NOTIFICATIONS: ReadonlySet<string> = new Set(['_auth/status_update']);

/** The words of a piece of content. */
export const wordsOf = (piece: Content | CallContent): string => {
  const { type, text: words, uri } = piece as Readonly<Record<string, unknown>>;
  if (typeof words === 'string') return words;
  return `[${typeof uri === 'string' ? uri : String(type)}]`;
};
