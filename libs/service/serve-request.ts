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
  /** Who asks, from the subject that the broker has checked; undefined: nobody may ask so. */
  readonly askerOf: (subject: string) => Asker | undefined;
  readonly schema: z.ZodType<Request>;
  readonly handle: (asker: Asker, request: Request) => Promise<Answer<Result>>;
}

const invalid = (why: string): Fault =>
  new Fault({ code: 'REQUEST_INVALID', retry: 'never', message: `the request breaks its contract: ${why}` });

const issuesOf = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; ');

const answerTo = async <Asker, Request, Result>(
  { askerOf, schema, handle }: RequestHandling<Asker, Request, Result>,
  message: RequestMessage,
): Promise<WireAnswer<Result>> => {
  try {
    const asker = askerOf(message.subject);
    if (asker === undefined) throw invalid(`subject ${message.subject}`);
    const parsed = schema.safeParse(readJsonBody(message.body));
    if (!parsed.success) throw invalid(issuesOf(parsed.error));
    const answer = await handle(asker, parsed.data);
    if (answer.kind === 'ok') return { outcome: 'ok', result: answer.result };
    return { outcome: 'refused', ...answer.rejection };
  } catch (error) {
    if (error instanceof InvariantBroken) throw error;
    const { code, message: text, retry } = toFault(error);
    return { outcome: 'fault', code, message: text, retry };
  }
};

/** The operation as `defineService` takes it. */
export const serveRequest = <Asker, Request, Result>(
  handling: RequestHandling<Asker, Request, Result>,
): ServedRequest => ({
  subject: handling.subject,
  handle: async (message) => ({ body: jsonBody(await answerTo(handling, message)) }),
});
