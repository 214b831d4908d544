// The HTTP API as commands use it: the product's own client (services/client), with the little patience that a person at a terminal has.
import { Fault } from '#libs/kernel/fault.ts';
import { createClient } from '#services/client/client.ts';
import { z } from 'zod';
import type { Connection } from './connection.ts';

interface ApiCall {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal;
}

export interface ApiClient {
  /** The parsed answer. Faults: the problem's own code, `API_UNREACHABLE` (later), `API_ANSWER_INVALID` (never). */
  call<T>(call: ApiCall, schema: z.ZodType<T>): Promise<T>;
}

/** The path of what is below a run. */
export const runPath = (runId: string, rest: string): string =>
  `/api/v1/runs/${encodeURIComponent(runId)}/${rest}`;

/** A person waits: what does not answer after a moment is told, and the command can be given again. */
const PATIENCE = { attempts: 2, maxPauseMs: 2000 };

/** A client of the stack's gateway. */
export const createApiClient = ({ apiUrl, apiToken }: Connection): ApiClient => {
  const client = createClient({ url: apiUrl, token: apiToken, patience: PATIENCE });
  return {
    call: async ({ method = 'GET', ...call }, schema) => {
      const parsed = schema.safeParse(await client.request({ method, ...call }));
      if (parsed.success) return parsed.data;
      throw new Fault({
        code: 'API_ANSWER_INVALID',
        retry: 'never',
        message: `${call.path} answered with something else than expected: ${z.prettifyError(parsed.error)}`,
      });
    },
  };
};
