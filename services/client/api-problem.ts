// What the API says when it does not do what was asked: a problem document (RFC 9457) as an error.
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';

const problemSchema = z.object({
  code: z.string(),
  kind: z.string().default('unknown'),
  detail: z.string().optional(),
  title: z.string().optional(),
  requestId: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** One mistake of a request. */
export interface ApiMistake {
  readonly path: string;
  readonly message: string;
}

/** A refusal or a fault of the API. `code` is what programs tell them apart by; `retry` says whether the same may be asked again later. */
export class ApiProblem extends Fault {
  readonly status: number;
  readonly kind: string;
  /** What the log of the gateway knows the request by. */
  readonly requestId: string | undefined;
  /** Every mistake of the request, each with its place. */
  readonly errors: readonly ApiMistake[];

  constructor(status: number, problem: z.infer<typeof problemSchema>) {
    const { code, kind, detail, title, requestId, errors } = problem;
    super({
      code,
      retry: status >= 500 || status === 429 ? 'later' : 'never',
      message: detail ?? title ?? code,
      detail: { status, ...(errors !== undefined && { errors }) },
    });
    this.name = 'ApiProblem';
    this.status = status;
    this.kind = kind;
    this.requestId = requestId;
    this.errors = errors ?? [];
  }
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** The problem of an answer that is none of success. */
export const problemOf = (status: number, text: string): Fault => {
  const parsed = problemSchema.safeParse(parseJson(text));
  if (parsed.success) return new ApiProblem(status, parsed.data);
  return new Fault({
    code: 'API_ANSWER_INVALID',
    retry: status >= 500 ? 'later' : 'never',
    message: `the gateway answered ${status} without a problem document: ${text.slice(0, 200)}`,
  });
};
