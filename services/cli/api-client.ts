// The HTTP API as the CLI uses it: JSON in and out, problem documents turned into faults with their code.
// Does not retry: a command says what went wrong, and repeating it is safe with an idempotency key.
import { Fault } from '#libs/kernel/fault.ts';
import { z } from 'zod';
import type { Connection } from './connection.ts';

const problemSchema = z.object({
  code: z.string(),
  detail: z.string().optional(),
  title: z.string().optional(),
  errors: z.array(z.unknown()).optional(),
});

interface ApiCall {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal;
}

export interface ApiClient {
  /** The parsed answer. Faults: the problem's own code (never), `API_UNREACHABLE` (later), `API_ANSWER_INVALID` (never). */
  call<T>(call: ApiCall, schema: z.ZodType<T>): Promise<T>;
}

/** A client of the stack's gateway. */
export const createApiClient = (connection: Connection): ApiClient => ({
  call: async (call, schema) => {
    const response = await send(connection, call);
    const text = await response.text();
    const body = parseJson(text);
    if (!response.ok) throw problem(response.status, body, text);
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new Fault({
      code: 'API_ANSWER_INVALID',
      retry: 'never',
      message: `${call.path} answered with something else than expected: ${z.prettifyError(parsed.error)}`,
    });
  },
});

const send = async (connection: Connection, call: ApiCall): Promise<Response> => {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (connection.apiToken !== undefined) headers['authorization'] = `Bearer ${connection.apiToken}`;
  if (call.idempotencyKey !== undefined) headers['idempotency-key'] = call.idempotencyKey;
  if (call.body !== undefined) headers['content-type'] = 'application/json';
  try {
    return await fetch(new URL(call.path, connection.apiUrl), {
      method: call.method ?? 'GET',
      headers,
      ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
      ...(call.signal !== undefined && { signal: call.signal }),
    });
  } catch (cause) {
    throw new Fault({
      code: 'API_UNREACHABLE',
      retry: 'later',
      message: `the gateway at ${connection.apiUrl} does not answer. Is the stack running? Start it with "npm start"`,
      cause,
    });
  }
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const problem = (status: number, body: unknown, text: string): Fault => {
  const parsed = problemSchema.safeParse(body);
  if (!parsed.success)
    return new Fault({
      code: 'API_ANSWER_INVALID',
      retry: status >= 500 ? 'later' : 'never',
      message: `the gateway answered ${status} without a problem document: ${text.slice(0, 200)}`,
    });
  const { code, detail, title, errors } = parsed.data;
  return new Fault({
    code,
    retry: status >= 500 ? 'later' : 'never',
    message: detail ?? title ?? code,
    detail: { status, ...(errors !== undefined && { errors }) },
  });
};
