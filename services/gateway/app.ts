// The HTTP application: routes, request ids, access, measurement, and every refusal and fault as a problem document.
// The only file that puts routes on hono. Does not listen (see service.ts).
import { Hono } from 'hono';
import { z } from 'zod';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { HttpHooks } from '#libs/telemetry/hooks.ts';
import { READ_API } from '#streams/http/reads.ts';
import type { WorkDefaults } from '#streams/receipts.ts';
import { checkAccess, type AccessRules } from './access.ts';
import { isRefused, type GatewayEnv, type GatewayParts, type GatewayRequest, type Route } from './http.ts';
import { problemOfFault, problemOfRejection, type Problem } from './problem.ts';
import type { Receipts } from './receipts.ts';
import type { RequestRate } from './request-rate.ts';
import { approvalRoutes } from './approval-routes.ts';
import { apiDescription } from './description.ts';
import { inputInvalid, parseInput } from './input.ts';
import { handleOnce } from './keyed-request.ts';
import { hostRoutes } from './host-routes.ts';
import { mailRoutes } from './mail-routes.ts';
import { policyReadRoutes } from './policy-read-routes.ts';
import { policyRoutes } from './policy-routes.ts';
import { readRoutes } from './read-routes.ts';
import { commandRoutes } from './command-routes.ts';
import { runRoutes } from './run-routes.ts';
import { sessionReadRoutes } from './session-read-routes.ts';
import { sessionRoutes } from './session-routes.ts';
import { streamRoutes } from './stream-routes.ts';
import { taskReadRoutes } from './task-read-routes.ts';
import { taskRoutes } from './task-routes.ts';

export interface AppParts extends GatewayParts {
  readonly access: AccessRules;
  readonly rate: RequestRate;
  readonly receipts: Receipts;
  /** What counts where a request says nothing. */
  readonly defaults: WorkDefaults;
  readonly hooks: HttpHooks;
  /** The process cannot be trusted any more. */
  readonly onFatal: (error: unknown) => void;
}

/** What of a route serves a request. */
type Served = Pick<Route, 'method' | 'path' | 'isOpen' | 'isReading' | 'query' | 'body' | 'handle'>;

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

const health: Route = {
  ...READ_API.health,
  handle: (request) => request.json({ ok: true }),
};

const description: Route = {
  ...READ_API.describeApi,
  handle: async (request) =>
    request.body(await apiDescription(), 200, { 'content-type': 'application/json' }),
};

const whoAmI = ({ boundary }: GatewayParts): Route => ({
  ...READ_API.whoAmI,
  handle: (request) => {
    const { name, kind, roles } = request.get('identity');
    return request.json({ name, kind, roles, ...boundary });
  },
});

const problemResponse = ({ status, headers, body }: Problem): Response =>
  new Response(JSON.stringify(body), { status, headers });

/** What a failed route answers; what is broken here is logged with its cause. */
const failureResponse = (parts: AppParts, request: GatewayRequest, error: unknown): Response => {
  if (error instanceof InvariantBroken) parts.onFatal(error);
  const requestId = request.get('requestId');
  const fault = toFault(error);
  const problem = problemOfFault(fault, requestId);
  const { method, path } = request.req;
  // Whoever asked has gone in the middle of the question, or asks for what is not there yet: nothing is broken here.
  if (request.req.raw.signal.aborted)
    parts.logger.debug('a request was broken off', { requestId, method, path });
  else if (fault.code === 'VIEW_BEHIND')
    parts.logger.warn('a read waited in vain', { requestId, method, path, message: fault.message });
  else if (problem.status >= 500) parts.logger.error('request failed', { requestId, method, path, error });
  return problemResponse(problem);
};

/**
 * What is asked by a body has no query: one that is passed over (`?tenant=…`) would be taken to count; and so would the second of two of one name.
 * Throws `INPUT_INVALID`.
 */
const checkQuery = ({ body, query }: Served, request: GatewayRequest): void => {
  if (request.req.url.includes('&')) {
    const twice = Object.entries(request.req.queries()).filter(([, values]) => values.length > 1);
    if (twice.length > 0)
      throw inputInvalid(twice.map(([name]) => ({ path: `query.${name}`, message: 'given more than once' })));
  }
  if (body !== undefined && query === undefined) parseInput(z.strictObject({}), request.req.query(), 'query');
};

const run = async (parts: AppParts, route: Served, request: GatewayRequest): Promise<Response> => {
  try {
    if (route.isOpen !== true) {
      const identity = checkAccess(request.req.raw, parts.access, route.isReading);
      parts.rate.take(identity.name);
      request.set('identity', identity);
    }
    checkQuery(route, request);
    request.set('defaults', parts.defaults);
    const answer = await handleOnce(parts.receipts, route, request, parts.config.maxBodyBytes);
    return isRefused(answer)
      ? problemResponse(problemOfRejection(answer.refused, request.get('requestId')))
      : answer;
  } catch (error) {
    return failureResponse(parts, request, error);
  }
};

/** Calls the route under a request id and measures it. */
const serve =
  (parts: AppParts, route: Served) =>
  async (request: GatewayRequest): Promise<Response> => {
    const startedMs = parts.clock.monotonicMs();
    const given = request.req.header('x-request-id');
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : `req_${parts.ids.ulid()}`;
    request.set('requestId', requestId);
    const response = await run(parts, route, request);
    response.headers.set('x-request-id', requestId);
    response.headers.set('x-content-type-options', 'nosniff');
    const durationMs = parts.clock.monotonicMs() - startedMs;
    parts.hooks.request(route.method, route.path, response.status, durationMs);
    return response;
  };

const otherMethods = (path: string, methods: readonly string[]): Served => ({
  method: 'GET',
  path,
  handle: (request) => {
    // Who may get may ask for the head alone.
    const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].join(', ');
    throw new Fault({
      code: 'METHOD_UNSUPPORTED',
      retry: 'never',
      message: `${request.req.path} takes ${allow}, not ${request.req.method}`,
      detail: { allow },
    });
  },
});

const nowhere: Served = {
  method: 'GET',
  path: '*',
  handle: (request) => {
    throw new Fault({
      code: 'ROUTE_UNKNOWN',
      retry: 'never',
      message: `there is nothing at ${request.req.path.slice(0, 200)}; the API is under /api/v1`,
    });
  },
};

/** The application; `fetch` of it answers requests. */
export const createApp = (parts: AppParts): Hono<GatewayEnv> => {
  const app = new Hono<GatewayEnv>();
  const routes: Route[] = [
    health,
    description,
    whoAmI(parts),
    ...runRoutes(parts),
    ...commandRoutes(parts),
    ...readRoutes(parts),
    ...sessionReadRoutes(parts),
    ...sessionRoutes(parts),
    ...approvalRoutes(parts),
    ...taskRoutes(parts),
    ...taskReadRoutes(parts),
    ...policyRoutes(parts),
    ...policyReadRoutes(parts),
    ...mailRoutes(parts),
    ...hostRoutes(parts),
    ...streamRoutes(parts),
  ];
  const methods = new Map<string, string[]>();
  for (const route of routes) {
    app.on(route.method, route.path, serve(parts, route));
    methods.set(route.path, [...(methods.get(route.path) ?? []), route.method]);
  }
  // A path of its own before one with a parameter that it would be taken for.
  const bySpecificity = [...methods].toSorted(
    ([a], [b]) => Number(a.includes(':')) - Number(b.includes(':')),
  );
  for (const [path, known] of bySpecificity) app.all(path, serve(parts, otherMethods(path, known)));
  app.notFound(serve(parts, nowhere));
  return app;
};
