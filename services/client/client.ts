// The client of the HTTP API, for programs (`import { createClient } from 'fleetlog/client'`), the command line and tests: every operation that
// the API declares, with its types; answers are checked by their schemas. Retries what is safe, pages, and follows streams.
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { API } from '#streams/http/api.ts';
import type { ApiRoute } from '#streams/http/route.ts';
import { ApiProblem } from './api-problem.ts';
import { askApi, type ApiCall, type ApiPatience, type ApiPlace } from './api-request.ts';
import { followStream, type ApiEvent } from './api-stream.ts';
import type {
  ApiAnswer,
  ApiInput,
  ApiOperation,
  ItemOf,
  ItemsKey,
  PagedOperation,
  StreamingOperation,
} from './api-types.ts';

export interface ClientOptions extends ApiPlace {
  /** Tries of what is safe to repeat. @default 5 tries, pauses of 30 s at most */
  readonly patience?: Partial<ApiPatience>;
  readonly clock?: Clock;
  readonly ids?: Ids;
}

/** Errors of all of them: `ApiProblem`, `API_UNREACHABLE` (later), `API_ANSWER_INVALID`. */
export interface Client {
  /** Asks for an operation. A POST goes under an idempotency key: yours, or one made for this call. */
  call<Op extends ApiOperation>(operation: Op, input: ApiInput<Op>): Promise<ApiAnswer<Op>>;
  /** The pages of a list, until the last. */
  pages<Op extends PagedOperation>(operation: Op, input: ApiInput<Op>): AsyncGenerator<ApiAnswer<Op>>;
  /** The items of all pages: `items('listRuns', 'runs', { query: { state: 'running' } })`. */
  items<Op extends PagedOperation, Key extends ItemsKey<Op>>(
    operation: Op,
    key: Key,
    input: ApiInput<Op>,
  ): AsyncGenerator<ItemOf<Op, Key>>;
  /** What happens, as it happens; goes on over broken connections. Ends with the run, or with the signal. */
  stream<Op extends StreamingOperation>(
    operation: Op,
    input: ApiInput<Op> & { readonly lastEventId?: string | undefined },
  ): AsyncGenerator<ApiEvent>;
  /** A request to any path, answered as it is. */
  request(call: ApiCall): Promise<unknown>;
}

type Fields = Readonly<Record<string, unknown>>;

const writtenValue = (value: unknown): string => (Array.isArray(value) ? value.join(',') : String(value));

/** The path of a route with its parameters and query. */
const pathOf = (route: ApiRoute, path: Fields = {}, query: Fields = {}): string => {
  const filled = route.path.replaceAll(/:([a-zA-Z]+)/g, (_match, name: string) =>
    encodeURIComponent(String(path[name])),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.set(name, writtenValue(value));
  return search.size === 0 ? filled : `${filled}?${search.toString()}`;
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const checked = (schema: z.ZodType, value: unknown, path: string): unknown => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Fault({
    code: 'API_ANSWER_INVALID',
    retry: 'never',
    message: `${path} answered with something else than expected: ${z.prettifyError(parsed.error)}`,
  });
};

/** The query of the next page; undefined: there is none. */
const nextQuery = (answer: Fields): Fields | undefined => {
  const { next, after, hasMore } = answer;
  if (hasMore !== undefined) return hasMore === true ? { after: next ?? after } : undefined;
  return next === null || next === undefined ? undefined : { cursor: next };
};

/** A client of the gateway at `url`. */
export const createClient = (options: ClientOptions): Client => {
  const { url, token, clock = systemClock, ids = systemIds, patience } = options;
  const parts = { url, token, clock, patience: { attempts: 5, maxPauseMs: 30_000, ...patience } };
  const ask = async (call: ApiCall): Promise<unknown> => parseJson(await askApi(parts, call));

  const call = async (operation: ApiOperation, input: Fields): Promise<unknown> => {
    const route: ApiRoute = API[operation];
    const path = pathOf(route, input['path'] as Fields, input['query'] as Fields);
    const { body, signal } = input;
    const key = (input['idempotencyKey'] as string | undefined) ?? `made-${ids.ulid()}`;
    const answer = await ask({
      method: route.method,
      path,
      ...(route.method === 'POST' && { body, idempotencyKey: key }),
      ...(signal !== undefined && { signal: signal as AbortSignal }),
    });
    return checked(route.answer, answer, path);
  };
  async function* pages(operation: ApiOperation, input: Fields): AsyncGenerator<Fields> {
    let query: Fields | undefined = input['query'] as Fields | undefined;
    for (;;) {
      const answer = (await call(operation, { ...input, query })) as Fields;
      yield answer;
      const next = nextQuery(answer);
      if (next === undefined) return;
      query = { ...query, ...next };
    }
  }
  async function* items(operation: ApiOperation, key: string, input: Fields): AsyncGenerator {
    for await (const page of pages(operation, input)) yield* page[key] as readonly unknown[];
  }
  // What the table declares is what comes: the types of the interface follow from it, the code is one for all.
  return {
    call,
    pages,
    items,
    stream: (operation: ApiOperation, input: Fields) =>
      followStream({
        url,
        token,
        clock,
        path: pathOf(API[operation], input['path'] as Fields, input['query'] as Fields),
        lastEventId: input['lastEventId'] as string | undefined,
        signal: input['signal'] as AbortSignal | undefined,
      }),
    request: ask,
  } as unknown as Client;
};

/** The problem of the API that an error is; undefined: it is something else. */
export const problemIn = (error: unknown): ApiProblem | undefined =>
  error instanceof ApiProblem ? error : undefined;
