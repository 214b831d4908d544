// One service while it runs: its start (tried again while a dependency is away), its supervised loops, its requests, its stop.
// Does not know the other services, signals or exit codes (see run-process.ts).
import { aborted } from './aborted.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { createRedactor, type Redactor } from '#libs/redaction/redactor.ts';
import type { CheckBoard } from './checks.ts';
import type { Loop, Ports, ServiceContext, WireTools } from './context.ts';
import type { Service, Started } from './define-service.ts';
import { createDiscovery } from './discovery.ts';
import { backoffMs, supervise } from './supervise.ts';

/** What a service runs with. */
export interface ServiceTools extends Omit<WireTools, 'signal'> {
  readonly ports: Ports;
  readonly board: CheckBoard;
  /** Default: one that knows no secret by value. */
  readonly redactor?: Redactor;
  /** How long the drain gives each service. */
  readonly drainMs: number;
  /** Of the product, for tools that look at the service. */
  readonly version?: string;
  /** The process must end. */
  onFatal(error: unknown): void;
}

/** A service that was started. */
export interface RunningService {
  readonly name: string;
  /** Resolves when it is up, or was stopped before. Never rejects. */
  readonly booted: Promise<void>;
  /** Stops the intake, waits for what is in hand, closes. Rejects only if the service's own `stop` does. Idempotent. */
  stop(): Promise<void>;
  /** What `stop` is still waiting for. */
  waitingFor(): readonly string[];
}

/** Names of what is still going on. */
class Ongoing {
  readonly #work = new Map<symbol, { readonly name: string; readonly settled: Promise<void> }>();

  /** Waits for the work, and rejects as it does. */
  track(name: string, work: Promise<unknown>): Promise<void> {
    const key = Symbol(name);
    const settled = (async () => {
      try {
        await work;
      } finally {
        this.#work.delete(key);
      }
    })();
    this.#work.set(key, { name, settled });
    return settled;
  }

  names(): readonly string[] {
    return [...this.#work.values()].map(({ name }) => name).sort();
  }

  async settled(): Promise<void> {
    await Promise.allSettled([...this.#work.values()].map(({ settled }) => settled));
  }
}

interface Life {
  readonly service: Service;
  readonly tools: ServiceTools;
  readonly context: ServiceContext;
  readonly signal: AbortSignal;
  readonly ongoing: Ongoing;
}

/** Calls `start` until it succeeds, fails for good, or the service is stopped. */
const startWithRetry = async ({ service, tools, context, signal }: Life): Promise<Started | undefined> => {
  const check = context.checks.push('start');
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      const started = await service.start?.(context);
      check.ok('started');
      return started ?? undefined;
    } catch (error) {
      const fault = toFault(error);
      check.failing(`${fault.code}: ${fault.message}`);
      if (fault !== error || fault.retry === 'never') {
        tools.onFatal(error);
        return undefined;
      }
      const waitMs = backoffMs(attempt, tools.ids.random());
      context.logger.warn('service did not start and will try again', { attempt, waitMs, error });
      await tools.clock.sleep(waitMs, signal);
    }
  }
  return undefined;
};

const loopStarter = (life: Omit<Life, 'context'>, logger: ServiceContext['logger']) => {
  const { service, tools, signal, ongoing } = life;
  const restarts = tools.metrics.counter(
    'fleetlog_service_loop_restarts_total',
    'Loops that ended before the drain and were started again.',
    ['service', 'loop'],
  );
  const checks = tools.board.of(service.name);
  return (loop: Loop): void => {
    restarts.add({ service: service.name, loop: loop.name }, 0);
    const supervised = supervise(loop, {
      clock: tools.clock,
      ids: tools.ids,
      logger,
      check: checks.push(loop.name),
      signal,
      onFatal: (error) => tools.onFatal(error),
      onRestart: () => restarts.add({ service: service.name, loop: loop.name }),
    });
    void ongoing.track(`loop ${loop.name}`, supervised);
  };
};

/** Answers requests; one that ends in a broken invariant ends the process. */
const serveRequests = (life: Life): (() => Promise<void>) => {
  const { service, tools, context, ongoing } = life;
  const requests = service.requests?.(context) ?? [];
  const { server: requestServer } = context.requests;
  const discovery = createDiscovery({
    name: service.name,
    id: tools.ids.ulid(),
    version: tools.version ?? '0.0.0',
    server: requestServer,
    clock: tools.clock,
  });
  const served = requests.map((request) => {
    const { subject, group = service.name } = request;
    const handle = discovery.counted(request, group);
    const server = requestServer.serve(subject, group, async (message) => {
      try {
        return await handle(message);
      } catch (error) {
        if (error instanceof InvariantBroken) tools.onFatal(error);
        else context.logger.error('request failed', { subject: message.subject, error });
        throw error;
      }
    });
    return { subject, server };
  });
  if (served.length > 0) served.push({ subject: '$SRV', server: discovery.serve() });
  return async () => {
    await Promise.all(
      served.map(({ subject, server }) => ongoing.track(`requests on ${subject}`, server.stop())),
    );
  };
};

const contextFor = (
  service: Service,
  config: unknown,
  tools: ServiceTools,
  rest: Pick<ServiceContext, 'logger' | 'signal' | 'loop'>,
): ServiceContext => ({
  ...rest,
  clock: tools.ports.clock,
  ids: tools.ports.ids,
  requests: tools.ports.requests,
  blobs: tools.ports.blobs,
  log: (stream) => tools.ports.log(stream),
  bucket: (name) => tools.ports.bucket(name),
  queue: (stream, consumer) => tools.ports.queue(stream, consumer),
  publisher: () => tools.ports.publisher(),
  name: service.name,
  config,
  metrics: tools.metrics,
  hooks: tools.hooks,
  redactor: tools.redactor ?? createRedactor(),
  checks: tools.board.of(service.name),
  drainMs: tools.drainMs,
});

/** Starts a service; returns at once. */
export const startService = (service: Service, config: unknown, tools: ServiceTools): RunningService => {
  const intake = new AbortController();
  const ongoing = new Ongoing();
  const logger = tools.logger.child({ service: service.name });
  const base = { service, tools, signal: intake.signal, ongoing };
  const loop = loopStarter(base, logger);
  const context = contextFor(service, config, tools, { logger, signal: intake.signal, loop });
  const life: Life = { ...base, context };
  let started: Started | undefined;
  let stopServing: (() => Promise<void>) | undefined;
  let isBooted = false;

  const boot = async (): Promise<void> => {
    try {
      started = await startWithRetry(life);
      if (intake.signal.aborted) return;
      for (const each of service.loops?.(context) ?? []) loop(each);
      stopServing = serveRequests(life);
      // Up is who can be asked: otherwise whoever was told that it is would hear that nobody serves.
      await Promise.race([tools.ports.requests.server.heard(), aborted(intake.signal)]);
    } catch (error) {
      tools.onFatal(error);
    } finally {
      isBooted = true;
    }
  };

  const stop = async (): Promise<void> => {
    intake.abort();
    if (!isBooted) await ongoing.track('start', booted);
    await stopServing?.();
    await ongoing.settled();
    if (started !== undefined) await ongoing.track('stop', started.stop());
  };

  const booted = boot();
  let stopping: Promise<void> | undefined;
  return { name: service.name, booted, stop: () => (stopping ??= stop()), waitingFor: () => ongoing.names() };
};
