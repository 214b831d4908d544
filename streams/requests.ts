// What every request to a service has in common: a table of operations, each with its meaning and the schemas of request and
// answer. JSON in, JSON out; an answer is the result, a refusal by a rule, or a fault that says whether to try again.
import { z } from 'zod';

const refused = z.object({
  outcome: z.literal('refused'),
  code: z.string(),
  message: z.string(),
  detail: z.record(z.string(), z.unknown()),
});
const faulted = z.object({
  outcome: z.literal('fault'),
  code: z.string(),
  message: z.string(),
  retry: z.enum(['now', 'later', 'never']),
});

/** The answers to a request whose result has this schema. */
export const answering = <Result extends z.ZodType>(result: Result) =>
  z.discriminatedUnion('outcome', [z.object({ outcome: z.literal('ok'), result }), refused, faulted]);

/** On whose behalf the control plane asks: `user:anna`. A runner does not say it: its agent stands in the subject. */
export const actorSchema = z.string().min(1).max(128);

/** Operations of a service by name. */
export type RequestTable = Readonly<
  Record<string, { readonly means: string; readonly request: z.ZodType; readonly answer: z.ZodType }>
>;

export type RequestOf<Table extends RequestTable, Op extends keyof Table> = z.infer<Table[Op]['request']>;
export type AnswerOf<Table extends RequestTable, Op extends keyof Table> = z.infer<Table[Op]['answer']>;
/** What an operation gives when it is not refused. */
export type ResultOf<Table extends RequestTable, Op extends keyof Table> =
  Extract<AnswerOf<Table, Op>, { outcome: 'ok' }> extends { result: infer Result } ? Result : never;
