// One small HTTP server a process for those who look after it: /healthz (restart me?), /readyz (send me work?), /version, /metrics.
// Answers GET and HEAD, JSON except for the metrics, never caches. It tells no secret, has no access control and changes
// nothing: bind it to loopback, or to a network of those who may look.
import { createServer } from '#libs/local-http/node-http.ts';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Fault } from '#libs/kernel/fault.ts';
import type { CheckReport } from './checks.ts';

/** Whether the process should go on living. */
interface Liveness {
  readonly ok: boolean;
  /** Longest delay of the event loop lately. */
  readonly lagMs: number;
  /** Why it should not, when it should not. */
  readonly detail?: string;
}

export type Phase = 'starting' | 'running' | 'draining';

/** What the endpoints show; asked on each request. */
export interface HealthFacts {
  liveness(): Liveness;
  phase(): Phase;
  checks(): Promise<readonly CheckReport[]>;
  /** The body of /version. */
  version(): Readonly<Record<string, unknown>>;
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
}

export interface HealthServer {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly allow?: string;
}

const json = (status: number, value: unknown): Answer => ({
  status,
  contentType: 'application/json; charset=utf-8',
  body: `${JSON.stringify(value)}\n`,
});

const readiness = async (facts: HealthFacts): Promise<Answer> => {
  const checks = await facts.checks();
  const phase = facts.phase();
  const isReady = phase === 'running' && checks.every(({ ok }) => ok);
  const status = phase === 'running' ? (isReady ? 'ready' : 'not-ready') : phase;
  return json(isReady ? 200 : 503, { status, checks });
};

const routes: Readonly<Record<string, (facts: HealthFacts) => Answer | Promise<Answer>>> = {
  '/healthz': (facts) => {
    const { ok, lagMs, detail } = facts.liveness();
    const body = { status: ok ? 'ok' : 'failing', lagMs: Math.round(lagMs), ...(ok ? {} : { detail }) };
    return json(ok ? 200 : 503, body);
  },
  '/readyz': readiness,
  '/version': (facts) => json(200, facts.version()),
  '/metrics': async (facts) => ({ status: 200, ...(await facts.metrics()) }),
};

const answer = async (request: IncomingMessage, facts: HealthFacts): Promise<Answer> => {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) {
    return json(404, {
      code: 'NOT_FOUND',
      message: `there is no ${path}; see ${Object.keys(routes).join(', ')}`,
    });
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    const refusal = json(405, { code: 'METHOD_NOT_ALLOWED', message: `${path} answers GET and HEAD only` });
    return { ...refusal, allow: 'GET, HEAD' };
  }
  try {
    return await route(facts);
  } catch (error) {
    return json(500, {
      code: 'HEALTH_FAILED',
      message: error instanceof Error ? error.message : String(error),
    });
  }
};

const respond = (request: IncomingMessage, response: ServerResponse, reply: Answer): void => {
  response.writeHead(reply.status, {
    'content-type': reply.contentType,
    'content-length': Buffer.byteLength(reply.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(reply.allow === undefined ? {} : { allow: reply.allow }),
  });
  response.end(request.method === 'HEAD' ? undefined : reply.body);
};

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new Fault({
          code: 'HEALTH_LISTEN_FAILED',
          retry: 'never',
          message: `the health server cannot listen on ${host}:${port}: ${cause.message}`,
          cause,
        }),
      ),
    );
    server.listen(port, host, () => resolve());
  });

/** Starts the server; port 0 takes a free one. Faults: `HEALTH_LISTEN_FAILED` (never). */
export const startHealthServer = async (
  facts: HealthFacts,
  place: { readonly host: string; readonly port: number },
): Promise<HealthServer> => {
  const server = createServer((request, response) => {
    request.resume();
    void answer(request, facts).then((reply) => respond(request, response, reply));
  });
  server.requestTimeout = 10_000;
  await listen(server, place.host, place.port);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : place.port;
  const host = place.host.includes(':') ? `[${place.host}]` : place.host;
  return {
    url: `http://${host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
