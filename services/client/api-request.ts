// One request to the gateway, tried again where that is safe: when it cannot be reached, and when it says that it is too busy or that
// something is away (429, 503; after the time that it names). A POST is always under an idempotency key, so it is done once however often it is sent.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { problemOf } from './api-problem.ts';

/** Where the gateway is, and who asks. */
export interface ApiPlace {
  /** `http://127.0.0.1:7710` */
  readonly url: string;
  /** Absent: as everybody on a machine whose stack asks for none. */
  readonly token?: string | undefined;
}

export interface ApiCall {
  readonly method: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface ApiPatience {
  /** Tries in all. */
  readonly attempts: number;
  /** The longest pause that is kept between two tries; what asks for a longer one fails at once. */
  readonly maxPauseMs: number;
}

interface Parts extends ApiPlace {
  readonly clock: Clock;
  readonly patience: ApiPatience;
}

export const headersOf = ({ token }: ApiPlace, accept: string): Record<string, string> => ({
  accept,
  ...(token !== undefined && { authorization: `Bearer ${token}` }),
});

const unreachable = ({ url }: ApiPlace, cause: unknown): Fault =>
  new Fault({
    code: 'API_UNREACHABLE',
    retry: 'later',
    message: `the gateway at ${url} does not answer. Is the stack running? Start it with "npm start"`,
    cause,
  });

const send = async (place: ApiPlace, call: ApiCall): Promise<Response> => {
  const { method, path, body, idempotencyKey, headers, signal } = call;
  try {
    return await fetch(new URL(path, place.url), {
      method,
      headers: {
        ...headersOf(place, 'application/json'),
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal }),
    });
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    throw unreachable(place, cause);
  }
};

/** How long to wait before the next try; undefined: the answer is final. */
const pauseAfter = (response: Response, attempt: number): number | undefined => {
  if (response.status !== 429 && response.status !== 503) return undefined;
  const named = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(named) ? named * 1000 : backoffMs(attempt);
};

const backoffMs = (attempt: number): number => Math.min(200 * 2 ** attempt, 5000);

/**
 * The text of a successful answer. Throws `ApiProblem`, `API_UNREACHABLE` (later), `API_ANSWER_INVALID`, or as the signal aborts. What cannot
 * be sent twice (a POST without a key) is not.
 */
export const askApi = async (parts: Parts, call: ApiCall): Promise<string> => {
  const { clock, patience } = parts;
  const isRepeatable = call.method === 'GET' || call.idempotencyKey !== undefined;
  const attempts = isRepeatable ? patience.attempts : 1;
  for (let attempt = 1; ; attempt += 1) {
    const isLast = attempt >= attempts;
    let pauseMs: number | undefined;
    try {
      const response = await send(parts, call);
      const text = await response.text();
      if (response.ok) return text;
      pauseMs = pauseAfter(response, attempt);
      if (isLast || pauseMs === undefined || pauseMs > patience.maxPauseMs)
        throw problemOf(response.status, text);
    } catch (error) {
      if (pauseMs !== undefined || isLast || !(error instanceof Fault) || error.code !== 'API_UNREACHABLE')
        throw error;
      pauseMs = backoffMs(attempt);
    }
    await clock.sleep(pauseMs, call.signal);
    call.signal?.throwIfAborted();
  }
};
