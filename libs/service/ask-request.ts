// The asking side of a request to a service: sends JSON, reads the answer by its schema. Asks once: whoever asks decides about repeats.
import type { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { jsonBody, readJsonBody } from './json-body.ts';
import type { WireAnswer } from './request-answer.ts';

interface Asking {
  readonly subject: string;
  readonly request: unknown;
  /** Schema of the whole answer. */
  readonly answer: z.ZodType;
  readonly timeoutMs: number;
}

const unreadable = (subject: string, why: string): Fault =>
  new Fault({
    code: 'ANSWER_INVALID',
    retry: 'never',
    message: `the answer to ${subject} cannot be read: ${why}`,
  });

/**
 * The answer to one request. Faults: those of the requests port, `ANSWER_INVALID` (never: an answer of another version). A fault that the
 * service answered with is a value. `Result` is what the schema gives; the caller knows it from its table.
 */
export const askRequest = async <Result>(
  client: RequestClient,
  { subject, request, answer, timeoutMs }: Asking,
): Promise<WireAnswer<Result>> => {
  const message = await client.request(subject, jsonBody(request), { timeoutMs });
  const parsed = answer.safeParse(readJsonBody(message.body));
  if (parsed.success) return parsed.data as WireAnswer<Result>;
  const why = parsed.error.issues.map(({ path, message: text }) => `${path.join('.')}: ${text}`).join('; ');
  throw unreadable(subject, why);
};
