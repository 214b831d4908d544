// What the control endpoint takes: schemas of every body. Programs of people's own are told of unknown fields; hooks of
// Claude Code and Codex are read leniently, because each of their versions adds some.
import { z } from 'zod';
import { messageIdSchema, nameSchema } from '#streams/ids.ts';

const BODY_CHARACTERS = 65_536;
const SUBJECT_CHARACTERS = 200;
const messageId = messageIdSchema;
const words = (most: number) => z.string().min(1).max(most);
const callId = z.string().min(1).max(200).nullable().default(null);

export const sendSchema = z.strictObject({
  /** Made by the caller where a repeat must be the same message; else made here. */
  messageId: messageId.optional(),
  to: nameSchema,
  subject: words(SUBJECT_CHARACTERS).nullable().default(null),
  body: words(BODY_CHARACTERS),
  needsReply: z.boolean().default(false),
  priority: z.enum(['normal', 'high']).default('normal'),
});
export const replySchema = z.strictObject({
  messageId: messageId.optional(),
  replyTo: messageId,
  body: words(BODY_CHARACTERS),
  needsReply: z.boolean().default(false),
});
export const doneSchema = z.strictObject({
  outcome: z.enum(['done', 'blocked']).default('done'),
  summary: z.string().max(2000).default(''),
});
export const askSchema = z.strictObject({
  question: words(4000),
  /** The same at every repeat of the question. */
  callId,
  detail: z.unknown().optional(),
});
export const permissionSchema = z.strictObject({ callId, tool: words(500), input: z.unknown().optional() });
export const turnSchema = z.strictObject({
  /** `response`: what the agent says; `reasoning`: what it thinks. */
  kind: z.enum(['response', 'reasoning']).default('response'),
  text: words(1_000_000),
  /** Names this piece within the turn: a repeat is the same report. */
  key: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .optional(),
});
export const promptSchema = z.strictObject({ text: words(1_000_000) });
export const sessionEndSchema = z.strictObject({
  reason: z.string().max(200).default('other'),
  providerSessionId: z.string().min(1).max(200).nullable().default(null),
});
export const hookFatalSchema = z.strictObject({
  hook: words(100),
  // Whatever went wrong with a hook, its report must not fail over the length of its error.
  error: z.string().transform((text) => text.slice(0, 4000)),
});
export const nothingSchema = z.strictObject({});

/** What a hook of a program says on standard input. */
export const hookInputSchema = z.object({
  hook_event_name: z.string().max(100).optional(),
  session_id: z.string().max(200).optional(),
  stop_hook_active: z.boolean().optional(),
  prompt: z.string().optional(),
  reason: z.string().optional(),
  tool_name: z.string().max(500).optional(),
  tool_input: z.unknown().optional(),
  tool_use_id: z.string().max(200).optional(),
});
export type HookInput = z.infer<typeof hookInputSchema>;
