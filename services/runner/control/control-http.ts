// HTTP on the machine itself, as little as the control endpoint needs: routes by method and path, bodies within a limit and read by
// their schemas, and every failure as a problem document. Serves a socket file or a loopback port; knows no token and no turn.
import { createServer } from '#libs/local-http/node-http.ts';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { problemOf } from './control-problem.ts';

/** What a route is given. */
export interface RouteCall {
  /** What follows `Bearer `; null: none. */
  readonly token: string | null;
  /** The last part of a path that ends with `*`. */
  readonly rest: string;
  readonly query: URLSearchParams;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal;
  /** The body, parsed as JSON; an empty object where there is none. */
  readonly body: unknown;
}

export interface HttpRoute {
  readonly method: 'GET' | 'POST';
  /** `/v1/status`, or `/v1/hooks/*` for one part more. */
  readonly path: string;
  readonly limitBytes: number;
  /** Called before the body is read: of whoever may not ask nothing is kept. */
  readonly admit: (token: string | null) => void;
  readonly handle: (call: RouteCall) => object | Promise<object>;
}

/** Whole request from its first byte, ms: a caller that dribbles is cut off. */
const REQUEST_MS = 10_000;
const MOST_CONNECTIONS = 256;
/** Of a body that is refused, this much is heard out. */
const HEARD_BYTES = 32 * 1024 * 1024;

const fault = (code: string, message: string, detail: Record<string, unknown> = {}): Fault =>
  new Fault({ code, retry: 'never', message, detail });

/** Reads by a schema. Faults: `INPUT_INVALID` (never), which names every mistake. */
export const parseBody = <Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> => {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  throw fault('INPUT_INVALID', z.prettifyError(parsed.error).slice(0, 2000), { errors });
};

/**
 * Reads a body to its end and keeps it unless it is over the limit: who is refused in the middle of sending does not read the answer.
 * What is far too much is not waited for. Rejects when the caller goes away.
 */
const collect = (request: IncomingMessage, limitBytes: number): Promise<Buffer | 'too-large'> =>
  new Promise((done, fail) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.byteLength;
      if (size <= limitBytes) chunks.push(chunk);
      else if (size > HEARD_BYTES) done('too-large');
    });
    request.once('end', () => done(size > limitBytes ? 'too-large' : Buffer.concat(chunks)));
    request.once('close', () => fail(fault('CALLER_GONE', 'the caller went away')));
    if (Number(request.headers['content-length'] ?? 0) > HEARD_BYTES) done('too-large');
  });

const parseJson = (bytes: Buffer | 'too-large', limitBytes: number): unknown => {
  if (bytes === 'too-large') throw fault('INPUT_TOO_LARGE', `a body has ${limitBytes} bytes at most here`);
  const text = bytes.toString('utf8').trim();
  if (text === '') return {};
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw fault('INPUT_MALFORMED', 'the body is not JSON');
  }
};

const routeOf = (
  routes: readonly HttpRoute[],
  method: string,
  path: string,
): readonly [HttpRoute, string] => {
  const fits = (route: HttpRoute): boolean =>
    route.path.endsWith('*')
      ? path.startsWith(route.path.slice(0, -1)) && /^[a-z-]{1,64}$/.test(path.slice(route.path.length - 1))
      : route.path === path;
  const known = routes.filter(fits);
  const route = known.find((one) => one.method === method);
  if (route !== undefined) return [route, path.slice(route.path.length - 1)];
  if (known.length === 0) throw fault('ROUTE_UNKNOWN', `there is nothing at ${path.slice(0, 200)}`);
  throw fault('METHOD_UNSUPPORTED', `${path} takes ${known.map((one) => one.method).join(', ')}`);
};

const tokenOf = ({ headers }: IncomingMessage): string | null =>
  /^Bearer (\S{1,200})$/.exec(headers.authorization ?? '')?.[1] ?? null;

const send = (response: ServerResponse, status: number, body: object): void => {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': status < 400 ? 'application/json' : 'application/problem+json',
    'content-length': bytes.byteLength,
    'x-content-type-options': 'nosniff',
  });
  response.end(bytes);
};

export interface HttpOptions {
  readonly routes: readonly HttpRoute[];
  /** Told of what is broken here, not of what callers do wrong. */
  readonly onError: (path: string, error: unknown) => void;
}

interface Asked {
  readonly pathname: string;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

type Admission = { readonly route: HttpRoute; readonly rest: string } | { readonly refusal: unknown };

const admissionOf = (
  routes: readonly HttpRoute[],
  method: string,
  pathname: string,
  token: string | null,
): Admission => {
  try {
    const [route, rest] = routeOf(routes, method, pathname);
    route.admit(token);
    return { route, rest };
  } catch (refusal) {
    return { refusal };
  }
};

const answer = async (
  routes: readonly HttpRoute[],
  request: IncomingMessage,
  { pathname, query, signal }: Asked,
): Promise<{ readonly result: object }> => {
  const token = tokenOf(request);
  const admission = admissionOf(routes, request.method ?? '', pathname, token);
  if ('refusal' in admission) {
    await collect(request, 0);
    throw admission.refusal;
  }
  const { route, rest } = admission;
  const body = parseJson(await collect(request, route.limitBytes), route.limitBytes);
  return { result: await route.handle({ token, rest, query, signal, body }) };
};

const serve = async (
  { routes, onError }: HttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const [pathname = '', search = ''] = (request.url ?? '').split('?', 2);
  const query = new URLSearchParams(search);
  try {
    const { result } = await answer(routes, request, { pathname, query, signal: gone.signal });
    send(response, 200, result);
  } catch (error) {
    const { status, body } = problemOf(error);
    if (status >= 500 && status !== 501) onError(pathname, error);
    if (response.headersSent || response.destroyed) return;
    if (!request.complete) response.setHeader('connection', 'close');
    send(response, status, body);
  }
};

/** A server that does not listen yet. */
export const createControlServer = (options: HttpOptions): Server => {
  const server = createServer(
    {
      requestTimeout: REQUEST_MS,
      headersTimeout: REQUEST_MS,
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: 1000,
      maxHeaderSize: 16_384,
    },
    (request, response) => {
      request.on('error', () => undefined);
      serve(options, request, response).catch((error: unknown) => options.onError('', error));
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  return server;
};
