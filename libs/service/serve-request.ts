// One operation of a service as a served request: reads JSON by its schema, asks the handler, writes the answer. Input that breaks the
// contract is refused before the handler sees it. Faults become answers; a broken invariant goes up and ends the process.
import type { z } from 'zod';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { RequestMessage } from '#libs/ports/requests.ts';
import { jsonBody, readJsonBody } from './json-body.ts';
import type { ServedRequest } from './define-service.ts';
import type { Answer, WireAnswer } from './request-answer.ts';

export interface RequestHandling<Asker, Request, Result> {
  /** What is served; wildcards allowed. */
  readonly subject: string;
  /** What it does, for whoever looks at the service with a tool. */
  readonly means?: string;
  /** Who asks, from the subject that the broker has checked; undefined: nobody may ask so. */
  readonly askerOf: (subject: string) => Asker | undefined;
  readonly schema: z.ZodType<Request>;
  readonly handle: (asker: Asker, request: Request) => Promise<Answer<Result>>;
}

const invalid = (why: string): Fault =>
  new Fault({ code: 'REQUEST_INVALID', retry: 'never', message: `the request breaks its contract: ${why}` });

const issuesOf = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; ');

/** The request as its contract has it. Throws `REQUEST_INVALID` (never). */
const requestOf = <Request>(schema: z.ZodType<Request>, body: Uint8Array): Request => {
  const value = readJsonBody(body);
  if (value === undefined) throw invalid('the body is not JSON');
  try {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw invalid(issuesOf(parsed.error));
  } catch (error) {
    // JSON is read however deep it is, and cannot be looked at or written so. Asked again, it would be the same.
    if (error instanceof RangeError) throw invalid('the body is nested too deep');
    throw error;
  }
};

const answerTo = async <Asker, Request, Result>(
  { askerOf, schema, handle }: RequestHandling<Asker, Request, Result>,
  message: RequestMessage,
): Promise<WireAnswer<Result>> => {
  try {
    const asker = askerOf(message.subject);
    if (asker === undefined) throw invalid(`subject ${message.subject}`);
    const answer = await handle(asker, requestOf(schema, message.body));
    if (answer.kind === 'ok') return { outcome: 'ok', result: answer.result };
    return { outcome: 'refused', ...answer.rejection };
  } catch (error) {
    if (error instanceof InvariantBroken) throw error;
    const { code, message: text, retry } = toFault(error);
    return { outcome: 'fault', code, message: text, retry };
  }
};

/** As NATS services tell an error (ADR-32). */
export const ERROR_HEADER = 'Nats-Service-Error';

/** So that tools which do not know the body see that it is none of success. 503 is left to the server that turns a request away. */
const errorHeaders = (answer: WireAnswer<unknown>): Readonly<Record<string, string>> => {
  if (answer.outcome === 'ok') return {};
  const text = `${answer.code}: ${answer.message}`.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 400);
  return {
    [ERROR_HEADER]: text,
    'Nats-Service-Error-Code': answer.outcome === 'refused' ? '400' : '500',
  };
};

/** The operation as `defineService` takes it. */
export const serveRequest = <Asker, Request, Result>(
  handling: RequestHandling<Asker, Request, Result>,
): ServedRequest => ({
  subject: handling.subject,
  ...(handling.means !== undefined && { means: handling.means }),
  handle: async (message) => {
    const answer = await answerTo(handling, message);
    return { headers: errorHeaders(answer), body: jsonBody(answer) };
  },
});
