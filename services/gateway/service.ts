// Gateway — the HTTP API: takes work, shows runs and sessions, streams what happens. Holds no state of its own that could be
// lost; any number of instances may run. Decides nothing: the owners of the aggregates do.
import { aborted } from '#libs/service/aborted.ts';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService, type Started } from '#libs/service/define-service.ts';
import { DISPATCH_REQUESTS } from '#streams/dispatch-requests.ts';
import { productVersion } from '#libs/service/product-version.ts';
import { createNameList } from '#libs/service/name-list.ts';
import { HOST_REQUESTS } from '#streams/host-requests.ts';
import { IDENTITY_REQUESTS } from '#streams/identity-requests.ts';
import { MAIL_REQUESTS } from '#streams/mail-requests.ts';
import { POLICY_REQUESTS } from '#streams/policy-requests.ts';
import { RUN_REQUESTS } from '#streams/run-requests.ts';
import { SESSION_REQUESTS } from '#streams/session-requests.ts';
import type { Boundary } from '#streams/subjects.ts';
import { TASK_REQUESTS } from '#streams/task-requests.ts';
import { isLoopback, type AccessRules } from './access.ts';
import { GatewayConfig, type GatewaySettings } from './config.ts';
import { createFeedHub } from './feed-hub.ts';
import type { FeedStream } from './feed-item.ts';
import { createHostPresences } from './host-presences.ts';
import type { GatewayParts } from './http.ts';
import { createReadViews } from './read-views.ts';
import { createReceipts } from './receipts.ts';
import { createRequestRate } from './request-rate.ts';
import { createServiceClient } from './service-client.ts';
import { openTokenBook } from './token-book.ts';

type Context = ServiceContext<GatewaySettings>;

const listen = async (server: Server, { host, port }: GatewaySettings): Promise<number> => {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new Fault({
      code: 'GATEWAY_PORT_TAKEN',
      retry: 'never',
      message: `cannot listen on ${host}:${port}: ${cause instanceof Error ? cause.message : String(cause)}; choose another with FLEETLOG_GATEWAY_PORT`,
      cause,
    });
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
};

/** How often connections that have become idle are looked for while the server closes. */
const CLOSE_LOOK_MS = 50;

/** Takes no more connections, ends each when its answer is out, and cuts those that are not done in time (a reader that does not read). */
const close = async (server: Server, clock: Clock, withinMs: number): Promise<void> => {
  const closed = new AbortController();
  const gone = new Promise<void>((resolve) => server.close(() => resolve())).finally(() => closed.abort());
  const deadlineMs = clock.monotonicMs() + withinMs;
  while (!closed.signal.aborted) {
    if (clock.monotonicMs() >= deadlineMs) server.closeAllConnections();
    else server.closeIdleConnections();
    await clock.sleep(CLOSE_LOOK_MS, closed.signal);
  }
  await gone;
};

const viewsOf = (context: Context, boundary: Boundary) => {
  const check = context.checks.push('views');
  const views = createReadViews({
    bucket: (name) => context.bucket(name),
    clock: context.clock,
    boundary,
    maxKeys: context.config.maxShown,
    maxMessages: context.config.maxMessages,
    onFatal: (error) => {
      const { code, message } = toFault(error);
      const remedy =
        code === 'VIEW_TOO_LARGE'
          ? 'raise FLEETLOG_GATEWAY_MAX_SHOWN and start the gateway again'
          : 'put right what it says; it is looked at again in a while';
      check.failing(`${message}; ${remedy}`);
      context.logger.error('a summary cannot be shown any more', { remedy, error });
    },
    onRecovered: () => {
      check.ok('current');
      context.logger.info('summaries are shown again');
    },
    onInvalid: (key, error) => context.logger.warn('a summary cannot be read', { viewKey: key, error }),
  });
  return { views, check };
};

/** Without another token everything is open, and a viewer's token would promise what is not so. Fault: `CONFIG_INVALID` (never). */
const checkTokens = ({ apiToken, viewerToken, tokensFile }: GatewaySettings): void => {
  if (viewerToken === undefined || apiToken !== undefined || tokensFile !== undefined) return;
  throw new Fault({
    code: 'CONFIG_INVALID',
    retry: 'never',
    message:
      'FLEETLOG_GATEWAY_VIEWER_TOKEN needs FLEETLOG_GATEWAY_API_TOKEN beside it: without that everybody may do everything',
  });
};

/** Who may ask. Faults: `CONFIG_INVALID`, `TOKENS_UNREADABLE` (never). */
const accessOf = ({ config, clock, logger }: Context, boundary: Boundary): AccessRules => {
  checkTokens(config);
  const { tokensFile } = config;
  const onTrouble = (fault: Fault): void =>
    logger.error('the token file cannot be read; the tokens of before count', { error: fault });
  const tokens = tokensFile === undefined ? undefined : openTokenBook(tokensFile, { clock, onTrouble });
  return { ...config, tokens, boundary, now: () => clock.now() };
};

/** How long a request waits for its receipt: what follows has a time of its own, and callers give up after ten seconds or so. */
const RECEIPT_MS = 3000;

const receiptsOf = (context: Context, boundary: Boundary) => {
  const { clock, config, logger } = context;
  const { agents, turnTimeoutMs, leaseMs, maxAttempts, receiptTtlMs, requestTimeoutMs } = config;
  const defaults = { agent: agents[0] ?? '', turnTimeoutMs, leaseMs, maxAttempts };
  const receipts = createReceipts({
    bucket: context.bucket('receipts'),
    boundary,
    clock,
    ttlMs: Math.ceil(receiptTtlMs / 1000) * 1000,
    withinMs: Math.min(RECEIPT_MS, requestTimeoutMs),
    defaults,
    onTrouble: (error) => logger.warn('a receipt is not as it should be; a repeat asks again', { error }),
  });
  return { receipts, defaults };
};

/** How long a list of queues waits for the reasons why tasks wait; it is given without them then. */
const EXPLAIN_MS = 1000;

/** The owners that decide. */
const clientsOf = ({ requests, config }: Context, boundary: Boundary) => {
  const common = { boundary, timeoutMs: config.requestTimeoutMs };
  return {
    runsClient: createServiceClient(requests.client, { ...common, service: 'runs', table: RUN_REQUESTS }),
    tasksClient: createServiceClient(requests.client, { ...common, service: 'tasks', table: TASK_REQUESTS }),
    dispatchClient: createServiceClient(requests.client, {
      ...common,
      timeoutMs: Math.min(EXPLAIN_MS, common.timeoutMs),
      service: 'dispatch',
      table: DISPATCH_REQUESTS,
    }),
    policiesClient: createServiceClient(requests.client, {
      ...common,
      service: 'lifecycle',
      table: POLICY_REQUESTS,
    }),
    sessionsClient: createServiceClient(requests.client, {
      ...common,
      service: 'sessions',
      table: SESSION_REQUESTS,
    }),
    hostsClient: createServiceClient(requests.client, { ...common, service: 'hosts', table: HOST_REQUESTS }),
    identityClient: createServiceClient(requests.client, {
      ...common,
      // A broker with much to do takes its time.
      timeoutMs: 30_000,
      service: 'identity',
      table: IDENTITY_REQUESTS,
    }),
    mailClient: createServiceClient(requests.client, { ...common, service: 'mail', table: MAIL_REQUESTS }),
  };
};

/** Agents and hosts as they come and go, kept by loops of their own. */
const whoIsThere = (
  context: Context,
  { tenant, project }: Boundary,
): Pick<GatewayParts, 'presences' | 'knowsAgent' | 'agentNames'> => {
  const { agents } = context.config;
  const added = createNameList(context.bucket('directory'), `${tenant}.${project}.`);
  const presences = createHostPresences(context.bucket('presence'), `${tenant}.${project}.host.`);
  context.loop({ name: 'directory', run: (signal) => added.watch(signal) });
  context.loop({ name: 'host-presence', run: (signal) => presences.watch(signal) });
  return {
    presences,
    knowsAgent: (name) => agents.includes(name) || added.has(name),
    agentNames: () => [...new Set([...agents, ...added.all()])],
  };
};

/** What streams are served from. */
const hubsOf = (context: Context) => {
  const { clock, logger } = context;
  const hub = (stream: FeedStream) =>
    createFeedHub({
      stream,
      log: context.log(stream),
      clock,
      onTrouble: (fault) => logger.warn('live replay was interrupted', { stream, error: fault }),
    });
  return { transitions: hub('TRANSITIONS'), events: hub('EVENTS') };
};

const start = async (context: Context): Promise<Started> => {
  const { clock, ids, config, logger } = context;
  const boundary = { tenant: config.tenant, project: config.project };
  const access = accessOf(context, boundary);
  const stopping = new AbortController();
  const broken = Promise.withResolvers<void>();
  // A loop that fails with a broken invariant ends the process.
  context.loop({ name: 'invariants', run: (signal) => Promise.race([broken.promise, aborted(signal)]) });
  const { views, check } = viewsOf(context, boundary);
  // Loaded while the broker gathers what is in the buckets.
  const { createApp } = await import('./app.ts');
  const { createHttpServer } = await import('./http-server.ts');
  const streams = context.metrics.gauge('fleetlog_gateway_streams', 'Live streams that are open.');
  const hubs = hubsOf(context);
  const app = createApp({
    config,
    boundary,
    views,
    hubs,
    clock,
    ids,
    logger,
    transitions: context.log('TRANSITIONS'),
    messages: context.log('MESSAGES'),
    ...clientsOf(context, boundary),
    ...whoIsThere(context, boundary),
    version: productVersion(),
    signal: stopping.signal,
    onStreams: (open) => streams.set({}, open),
    access,
    ...receiptsOf(context, boundary),
    rate: createRequestRate({ perSecond: config.requestsPerSecond, burst: config.requestBurst }, clock),
    hooks: context.hooks.http,
    onFatal: broken.reject,
  });
  const server = createHttpServer((request, bindings) => app.fetch(request, bindings), ids);
  try {
    await Promise.race([views.ready, aborted(context.signal)]);
    // Told to stop before there was anything to show: it never listens, and nothing else would end the waiting.
    if (context.signal.aborted) return { stop: () => views.stop() };
    check.ok('current');
    context.loop({ name: 'presence', run: (signal) => views.runners.watch(signal) });
    const port = await listen(server, config);
    logger.info('gateway is listening', { host: config.host, port });
    const asksForToken = config.apiToken !== undefined || config.tokensFile !== undefined;
    if (!isLoopback(config.host) && (!asksForToken || config.requireToken === false))
      logger.warn('the API is reachable from other machines and does not insist on a token', {
        host: config.host,
      });
  } catch (error) {
    await views.stop();
    throw error;
  }
  return {
    stop: async () => {
      stopping.abort();
      await close(server, clock, context.drainMs / 2);
      await Promise.all([hubs.transitions.stop(), hubs.events.stop(), views.stop()]);
    },
  };
};

export const gateway = defineService({ name: 'gateway', config: GatewayConfig, start });
