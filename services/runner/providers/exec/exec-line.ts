// The lines that an `exec` program prints, and what becomes of a line that is none of them. Pure. Documented in README.md beside it.
import { z } from 'zod';
import { usageSchema } from '#streams/turn-result.ts';
import { readJsonLine, reasonOf, unknownLine } from '#services/runner/providers/json-line.ts';
import type { Line } from '#services/runner/providers/line-splitter.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import type { TurnFacts } from '#services/runner/providers/turn-facts.ts';

const text = z.string();
const callId = z.string().min(1).max(200);

const lineSchema = z.discriminatedUnion('type', [
  /** Which version of these lines the program speaks; without it, the first. */
  z.object({ type: z.literal('hello'), lines: z.int().positive() }),
  z.object({ type: z.literal('text'), text }),
  z.object({ type: z.literal('reasoning'), text }),
  z.object({
    type: z.literal('tool-started'),
    callId,
    name: z.string().min(1).max(200),
    input: z.unknown().default(null),
  }),
  z.object({
    type: z.literal('tool-finished'),
    callId,
    output: text.default(''),
    isError: z.boolean().default(false),
    durationMs: z.number().nonnegative().optional(),
  }),
  z.object({
    type: z.literal('file-changed'),
    path: z.string().min(1).max(4096),
    change: z.enum(['created', 'changed', 'deleted']),
  }),
  z.object({ type: z.literal('usage'), ...usageSchema.shape }),
  z.object({ type: z.literal('output'), text, stream: z.enum(['stdout', 'stderr']).default('stdout') }),
  z.object({ type: z.literal('steerable'), acknowledges: z.boolean().default(false) }),
  z.object({ type: z.literal('steered'), commandId: z.string().min(1).max(200) }),
  z.object({
    type: z.literal('result'),
    outcome: z.enum(['done', 'yielded', 'blocked', 'failed']),
    summary: text.default(''),
    message: text.default(''),
    usage: usageSchema.optional(),
  }),
]);
type ExecLine = z.infer<typeof lineSchema>;

/** What a line says: an event, the result of the turn, or nothing (an empty line). */
export type ExecMeaning =
  | { readonly kind: 'event'; readonly event: ProviderEvent }
  | { readonly kind: 'hello'; readonly lines: number }
  | {
      readonly kind: 'result';
      readonly closing: NonNullable<TurnFacts['closing']>;
      readonly usage: TurnFacts['usage'];
    }
  /** It reads words on its file descriptor 3 from now on; `acknowledges`: and says of each that it has taken them up. */
  | { readonly kind: 'steerable'; readonly acknowledges: boolean }
  | { readonly kind: 'taken-up'; readonly id: string }
  | { readonly kind: 'nothing' };

const toEvent = (
  line: Exclude<ExecLine, { readonly type: 'result' | 'hello' | 'steerable' | 'steered' }>,
): ProviderEvent => {
  if (line.type === 'usage') {
    const { type: kind, ...usage } = line;
    return { kind, usage };
  }
  // The other lines are their events but for the name of the discriminator; a schema cannot say so.
  const { type: kind, ...rest } = line;
  return { kind, ...rest } as ProviderEvent;
};

const toMeaning = (line: ExecLine): ExecMeaning => {
  if (line.type === 'hello') return { kind: 'hello', lines: line.lines };
  if (line.type === 'steerable') return { kind: 'steerable', acknowledges: line.acknowledges };
  if (line.type === 'steered') return { kind: 'taken-up', id: line.commandId };
  if (line.type !== 'result') return { kind: 'event', event: toEvent(line) };
  const { outcome, summary, message, usage } = line;
  return { kind: 'result', closing: { outcome, summary, message, isSignal: true }, usage: usage ?? null };
};

/** Reads a line. Never throws: what cannot be read is an `unknown-line` event that says why. */
export const readExecLine = (line: Line): ExecMeaning => {
  const json = readJsonLine(line);
  if (json.kind === 'empty') return { kind: 'nothing' };
  if (json.kind === 'unknown') return { kind: 'event', event: json.event };
  const parsed = lineSchema.safeParse(json.value);
  if (parsed.success) return toMeaning(parsed.data);
  return { kind: 'event', event: unknownLine(json.content, reasonOf(parsed.error)) };
};
