// The control plane in this process on a real broker: provisioned streams, any set of services, and what they log.
// Each start has a connection of its own, so two of them are two instances. Does not start runners (see scripted-runner.ts).
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import { createCheckBoard, type CheckBoard } from '#libs/service/checks.ts';
import type { Ports } from '#libs/service/context.ts';
import type { Service } from '#libs/service/define-service.ts';
import { startService } from '#libs/service/running-service.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { createLogger } from '#libs/telemetry/logger.ts';
import { createMetrics } from '#libs/telemetry/metrics.ts';
import { createHooks } from '#libs/telemetry/metrics-hooks.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import { openNatsPorts } from '#services/wire.ts';
import { topologyOf } from '#streams/consumers.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { TestBroker } from './broker.ts';
import { connectTo } from './nats-connection.ts';

export const BOUNDARY: Boundary = { tenant: 'local', project: 'main' };

/** Creates everything durable; repeating it changes nothing. `ackWaitMsOf` a stream: instead of what its consumers have, for tests that wait for it. */
export const provision = async (
  broker: TestBroker,
  agents: readonly string[] = ['builder-1'],
  hosts: readonly string[] = [],
  ackWaitMsOf: (stream: string) => number | undefined = () => undefined,
): Promise<void> => {
  const connection = await connectTo({ ...broker, urls: [broker.url] });
  const topology = topologyOf({
    replicas: 1,
    agents: agents.map((agent) => ({ ...BOUNDARY, agent })),
    hosts: hosts.map((host) => ({ ...BOUNDARY, host })),
  });
  const consumers = topology.consumers.map((one) => ({
    ...one,
    ackWaitMs: ackWaitMsOf(one.stream) ?? one.ackWaitMs,
  }));
  const declared = { ...topology, consumers };
  const driver = natsTopologyDriver(connection);
  const { result } = await reconcileTopology({ declared, driver, clock: systemClock });
  await connection.close();
  if (result.failed !== null) throw result.failed.fault;
};

export interface ControlPlane extends AsyncDisposable {
  readonly ports: Ports;
  readonly board: CheckBoard;
  /** What was logged, parsed. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** Errors that would have ended the process. */
  readonly fatal: readonly unknown[];
  /** The metrics of this instance, as text. */
  metrics(): Promise<string>;
  /** Where the gateway of this instance listens. */
  url(): string;
  stop(): Promise<void>;
  /** Its connection ends and nothing else, as that of a process that is gone. */
  abandon(): Promise<void>;
}

export interface ControlPlaneOptions {
  readonly broker: Pick<TestBroker, 'url' | 'user'> & {
    /** A function is asked at each attempt to connect. */
    readonly password: string | (() => string);
  };
  readonly services: readonly Service[];
  /** Settings by service; the gateway takes any free port unless told. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** For a user that may listen below a prefix of its own only. */
  readonly inboxPrefix?: string;
  /** What the services get instead of the ports. */
  readonly wrap?: (ports: Ports) => Ports;
}

/** Starts the services and waits until each is up. */
export const startControlPlane = async (options: ControlPlaneOptions): Promise<ControlPlane> => {
  const lines: Record<string, unknown>[] = [];
  const fatal: unknown[] = [];
  const sink = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  const logger = createLogger({ level: 'info', format: 'json', clock: systemClock, sink });
  const metrics = createMetrics({ processMetrics: false });
  const hooks = createHooks(metrics);
  const { broker, config = {}, inboxPrefix, wrap = (ports: Ports) => ports } = options;
  const { url: server, user, password } = broker;
  const tools = { clock: systemClock, ids: systemIds, logger, metrics, hooks };
  const opened = await openNatsPorts(
    { servers: [server], user, password, name: 'test', ...(inboxPrefix !== undefined && { inboxPrefix }) },
    { ...tools, signal: new AbortController().signal },
  );
  const board = createCheckBoard(systemClock);
  board.of('ports').add('connection', opened.check);
  const ports = wrap(opened.ports);
  const running = options.services.map((service) =>
    startService(service, service.config.parse(config[service.name] ?? {}), {
      ...tools,
      ports,
      clock: ports.clock,
      board,
      drainMs: 5000,
      onFatal: (error) => void fatal.push(error),
    }),
  );
  await Promise.all(running.map(({ booted }) => booted));
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    for (const service of running.toReversed()) await service.stop();
    await opened.close();
  };
  const stopOnce = (): Promise<void> => (stopping ??= stop());
  return {
    ports: opened.ports,
    board,
    lines,
    fatal,
    metrics: async () => (await metrics.exposition()).body,
    url: () => {
      const line = lines.findLast(({ message }) => message === 'gateway is listening');
      if (line === undefined) throw new Error(`no gateway listens: ${JSON.stringify(fatal)}`);
      return `http://127.0.0.1:${String(line['port'])}`;
    },
    stop: stopOnce,
    abandon: () => opened.close(),
    [Symbol.asyncDispose]: stopOnce,
  };
};
