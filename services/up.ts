// The whole stack on this machine, in this process, with a private broker as its child: what `npm start` runs.
//   starting  secrets → broker → provision → control plane → runner → host → connection file
//   running   until `stop`; a part that breaks ends the stack (`failed`)
//   stopping  connection file → host (with the runners it has started) → runner → control plane → broker, each drained
// Starting again on the same data directory goes on where it was. Prints nothing: the command does.
import { locateBroker, locateOptionsFrom } from '#libs/broker/locate.ts';
import { findFreePort, isPortFree } from '#libs/broker/free-port.ts';
import { startBroker } from '#libs/broker/start-broker.ts';
import type { Broker } from '#libs/broker/broker.ts';
import { configSources } from '#libs/config/sources.ts';
import { emptyConfig } from '#libs/config/schema.ts';
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Service } from '#libs/service/define-service.ts';
import type { ProcessPlan, Wire } from '#libs/service/process-plan.ts';
import { startProcess, type StartedProcess } from '#libs/service/start-process.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { readBuildFacts, watchEventLoop } from '#libs/system/process-facts.ts';
import type { LogSink } from '#libs/telemetry/logger.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import { accountsOf, CONTROL_USER, hostInboxPrefix, hostUser, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { topologyOf } from '#streams/consumers.ts';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { superviseBroker } from './broker-supervision.ts';
import { CONNECTION_FILE, type Connection } from './cli/connection.ts';
import { COMMAND_LINE_VARIABLES } from './known-variables.ts';
import { controlNames, loadServices, otherNames } from './registry.ts';
import { createIdentityService } from './identity/service.ts';
import { createIdentityKeeper, secretsOf, shapeOf, type Shape } from './stack-identity.ts';
import type { StackSecrets } from './stack-secrets.ts';
import { tokenFileIn } from './token-file.ts';
import { connectTo, openNatsPorts, type BrokerAccess } from './wire.ts';

export interface UpOptions {
  readonly dataDir: string;
  /** Port of the HTTP API; 0: any free one. */
  readonly port: number;
  readonly agent: string;
  readonly tenant: string;
  readonly project: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `relaxed`: a power cut may lose the last 100 ms. */
  readonly sync: 'always' | 'relaxed';
  /** What streams may grow to in all; the same at each start. */
  readonly storage: { readonly storageBudgetBytes?: number };
  readonly logSink: LogSink;
  readonly onProgress: (line: string) => void;
  /** What somebody has to know or do. */
  readonly onTrouble: (line: string) => void;
}

export interface Stack {
  readonly connection: Connection;
  readonly broker: Broker;
  readonly healthUrls: { readonly control: string; readonly runner: string; readonly host: string };
  /** The host of this machine. */
  readonly host: string;
  readonly workspaces: string;
  /** Rejects when the stack can no longer be trusted; pending otherwise. */
  readonly failed: Promise<never>;
  /** Drains everything. Idempotent. Resolves with what was late. */
  stop(): Promise<readonly string[]>;
}

const wireTo = (access: BrokerAccess): Wire => ({
  name: 'nats',
  config: emptyConfig,
  open: (_config, tools) => openNatsPorts(access, tools),
});

const start = async (
  options: UpOptions,
  services: readonly Service[],
  access: BrokerAccess,
  settings: Record<string, unknown>,
): Promise<StartedProcess> => {
  const eventLoop = watchEventLoop();
  const plan: ProcessPlan = {
    services,
    unread: otherNames(services),
    alsoKnown: COMMAND_LINE_VARIABLES,
    wire: wireTo(access),
    sources: configSources(settings, options.environment),
    build: readBuildFacts(),
    clock: systemClock,
    ids: systemIds,
    lagMs: () => eventLoop.lagMs(),
    logSink: options.logSink,
  };
  const started = await startProcess(plan);
  const failure = await Promise.race([started.booted.then(() => undefined), started.failed]);
  if (failure === undefined) return started;
  await started.drain();
  throw failure;
};

const launchBroker = async (options: UpOptions, shape: Shape, secrets: StackSecrets): Promise<Broker> => {
  const { environment, dataDir } = options;
  const located = await locateBroker(locateOptionsFrom(environment, systemClock, options.onProgress));
  return startBroker({
    executable: located.path,
    dataDir: join(dataDir, 'nats'),
    accounts: accountsOf(shape, secrets),
    clock: systemClock,
    sync: options.sync,
  });
};

const provision = async (options: UpOptions, shape: Shape, access: BrokerAccess): Promise<void> => {
  const connection = await connectTo({ ...access, name: 'fleetlog-provision' }, systemClock);
  try {
    const declared = topologyOf({ replicas: 1, ...shape });
    const { result } = await reconcileTopology({
      declared,
      driver: natsTopologyDriver(connection),
      clock: systemClock,
      ...options.storage,
    });
    if (result.failed !== null) throw result.failed.fault;
  } finally {
    await connection.close();
  }
};

const writeConnection = async (dataDir: string, connection: Connection): Promise<void> => {
  const path = join(dataDir, CONNECTION_FILE);
  await writeFile(`${path}.new`, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
};

/** Stops in reverse order of what was started; keeps on when one part fails to. */
class Teardown {
  readonly #steps: { readonly name: string; readonly stop: () => Promise<readonly string[] | void> }[] = [];

  add(name: string, stop: () => Promise<readonly string[] | void>): void {
    this.#steps.unshift({ name, stop });
  }

  async run(): Promise<readonly string[]> {
    const late: string[] = [];
    for (const { name, stop } of this.#steps.splice(0)) {
      try {
        late.push(...((await stop()) ?? []));
      } catch (error) {
        late.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return late;
  }
}

/** Starts the stack; when it resolves everything answers. Whatever it started is stopped again when it cannot. */
export const startStack = async (options: UpOptions): Promise<Stack> => {
  const teardown = new Teardown();
  try {
    return await bringUp(options, teardown);
  } catch (error) {
    await teardown.run();
    throw error;
  }
};

const bringUp = async (options: UpOptions, teardown: Teardown): Promise<Stack> => {
  const { dataDir, tenant, project } = options;
  const port = await apiPort(options.port);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const first = firstShape(options);
  const secretsDir = join(dataDir, 'secrets');
  const shape = await shapeOf(secretsDir, first);
  const secrets = await secretsOf(secretsDir, shape);
  const broker = await launchBroker(options, shape, secrets);
  teardown.add('broker', () => broker.stop());
  const supervision = superviseBroker(broker, { clock: systemClock, onTrouble: options.onTrouble });
  teardown.add('supervision', () => Promise.resolve(supervision.stop()));
  const control: BrokerAccess = {
    servers: [broker.url],
    name: 'fleetlog',
    user: CONTROL_USER,
    password: secrets.controlPassword,
  };
  await provision(options, shape, control);

  const boundary = { tenant, project };
  const plane = await startPlane(options, { port, secretsDir, first, broker, control });
  teardown.add('control plane', async () => (await plane.drain()).late);
  const runner = await startRunner(options, broker, secrets);
  teardown.add('runner', async () => (await runner.drain()).late);
  const host = await startHost(options, broker, secrets);
  teardown.add('host', async () => (await host.drain()).late);

  const connection: Connection = {
    natsUrl: broker.url,
    natsUser: CONTROL_USER,
    natsPassword: secrets.controlPassword,
    apiUrl: `http://127.0.0.1:${port}`,
    ...boundary,
  };
  await writeConnection(dataDir, connection);
  teardown.add('connection file', () => rm(join(dataDir, CONNECTION_FILE), { force: true }));
  return {
    connection,
    broker,
    healthUrls: { control: plane.healthUrl, runner: runner.healthUrl, host: host.healthUrl },
    host: hostName(options),
    workspaces: join(dataDir, 'workspaces'),
    failed: firstFailure(supervision.failed, [plane, runner, host]),
    stop: () => teardown.run(),
  };
};

/** What the host of this machine is called; an agent may have taken the usual name. */
const hostName = ({ agent }: UpOptions): string => (agent === 'local' ? 'local-host' : 'local');

const firstShape = (options: UpOptions): Shape => {
  const { tenant, project, agent } = options;
  return {
    agents: [{ tenant, project, agent }],
    hosts: [{ tenant, project, host: hostName(options) }],
  };
};

interface PlaneParts {
  readonly port: number;
  readonly secretsDir: string;
  readonly first: Shape;
  readonly broker: Broker;
  readonly control: BrokerAccess;
}

/** Every service that decides, and the one that makes users of this broker. */
const startPlane = async (options: UpOptions, parts: PlaneParts): Promise<StartedProcess> => {
  const { port, secretsDir, first, broker, control } = parts;
  const keeper = createIdentityKeeper({
    secretsDir,
    first,
    provision: (whole) => provision(options, whole, control),
    reload: (accounts) => broker.reload(accounts),
  });
  const services = [...(await loadServices(controlNames)), createIdentityService(keeper)];
  return start(options, services, control, controlSettings(options, port));
};

/** The runner of the agent that a stack begins with. */
const startRunner = async (
  options: UpOptions,
  broker: Broker,
  secrets: StackSecrets,
): Promise<StartedProcess> => {
  const { dataDir, tenant, project, agent } = options;
  const access: BrokerAccess = {
    servers: [broker.url],
    name: `runner-${agent}`,
    user: runnerUser(agent),
    password: secrets.runnerPasswords[agent] ?? '',
    inboxPrefix: runnerInboxPrefix(agent),
  };
  return start(options, await loadServices(['runner']), access, {
    runnerAgent: agent,
    runnerTenant: tenant,
    runnerProject: project,
    runnerDataDir: join(dataDir, 'runner'),
    runnerWorkspaceRoot: join(dataDir, 'workspaces'),
  });
};

/** The host of this machine, so that a policy can start agents here. What it has started ends with the stack. */
const startHost = async (
  options: UpOptions,
  broker: Broker,
  secrets: StackSecrets,
): Promise<StartedProcess> => {
  const { dataDir, tenant, project, agent } = options;
  const name = hostName(options);
  const access: BrokerAccess = {
    servers: [broker.url],
    name: hostUser(name),
    user: hostUser(name),
    password: secrets.hostPasswords?.[name] ?? '',
    inboxPrefix: hostInboxPrefix(name),
  };
  return start(options, await loadServices(['host']), access, {
    hostName: name,
    hostTenant: tenant,
    hostProject: project,
    hostDataDir: join(dataDir, 'host'),
    hostWorkspaceRoot: join(dataDir, 'workspaces'),
    hostCredentialsDir: join(dataDir, 'secrets'),
    hostBrokerUrl: [broker.url],
    hostReservedAgents: [agent],
    hostOnStop: 'end',
  });
};

/** Settings of the services in one process, by flag. */
const controlSettings = (
  { tenant, project, agent, dataDir, environment }: UpOptions,
  port: number,
): Record<string, unknown> => ({
  gatewayPort: port,
  gatewayTenant: tenant,
  gatewayProject: project,
  gatewayAgents: [agent],
  mailTenant: tenant,
  mailProject: project,
  mailAgents: [agent],
  ...tokenSettings(dataDir, environment),
});

/** What says who may ask: where nothing is said, everybody on this machine, and whoever has a token is known by it. */
const TOKEN_VARIABLES = ['API_TOKEN', 'API_TOKEN_FILE', 'TOKENS_FILE', 'REQUIRE_TOKEN'];

const tokenSettings = (dataDir: string, environment: UpOptions['environment']): Record<string, unknown> =>
  TOKEN_VARIABLES.some((name) => environment[`FLEETLOG_GATEWAY_${name}`] !== undefined)
    ? {}
    : { gatewayTokensFile: tokenFileIn(dataDir), gatewayRequireToken: false };

/** The port for the API, known to be free a moment ago. Fault: `PORT_IN_USE` (never). */
const apiPort = async (asked: number): Promise<number> => {
  if (asked === 0) return findFreePort('127.0.0.1');
  if (await isPortFree(asked, '127.0.0.1')) return asked;
  throw new Fault({
    code: 'PORT_IN_USE',
    retry: 'never',
    message: `port ${asked} is in use: stop what listens there (a stack that still runs?), or choose another with --port (0: any free one)`,
  });
};

/** The first thing that breaks for good. */
const firstFailure = (broker: Promise<never>, parts: readonly StartedProcess[]): Promise<never> => {
  const ends = parts.map(async ({ failed }): Promise<never> => {
    throw await failed;
  });
  const failed = Promise.race([broker, ...ends]);
  // Somebody may look later: until then a failure is not an unhandled one.
  failed.catch(() => undefined);
  return failed;
};
