// The processes of a stack on this machine, all in this one: the broker as a child, every service that decides, the runner that a stack begins
// with, and the host. Each is started with the settings that follow from the data directory; up.ts says in which order.
import { locateBroker, locateOptionsFrom } from '#libs/broker/locate.ts';
import { limitsConsumers } from '#libs/broker/version.ts';
import { startBroker } from '#libs/broker/start-broker.ts';
import type { Broker } from '#libs/broker/broker.ts';
import { configSources } from '#libs/config/sources.ts';
import { emptyConfig } from '#libs/config/schema.ts';
import type { Service } from '#libs/service/define-service.ts';
import type { ProcessPlan, Wire } from '#libs/service/process-plan.ts';
import { startProcess, type StartedProcess } from '#libs/service/start-process.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { readBuildFacts, watchEventLoop } from '#libs/system/process-facts.ts';
import type { LogSink } from '#libs/telemetry/logger.ts';
import { accountsOf, hostInboxPrefix, hostUser, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { join } from 'node:path';
import { createIdentityService } from './identity/service.ts';
import { COMMAND_LINE_VARIABLES } from './known-variables.ts';
import { addConsumersOf } from './provisioning.ts';
import { controlNames, loadServices, otherNames } from './registry.ts';
import { createIdentityKeeper, type Shape } from './stack-identity.ts';
import type { StackSecrets } from './stack-secrets.ts';
import { tokenFileIn } from './token-file.ts';
import { openNatsPorts, type BrokerAccess } from './wire.ts';

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
  /** What is in doubt about the configuration; each process of the stack says it for itself. */
  readonly onWarning: (line: string) => void;
}

type ProcessOptions = Pick<UpOptions, 'environment' | 'logSink' | 'onWarning'>;

const wireTo = (access: BrokerAccess): Wire => ({
  name: 'nats',
  config: emptyConfig,
  open: (_config, tools) => openNatsPorts(access, tools),
});

const start = async (
  options: ProcessOptions,
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
  for (const warning of started.warnings) options.onWarning(warning);
  const failure = await Promise.race([started.booted.then(() => undefined), started.failed]);
  if (failure === undefined) return started;
  await started.drain();
  throw failure;
};

/** Services beside a stack that runs already, in this process; resolves when they work. `settings`: by flag. */
export const startBeside = async (
  options: ProcessOptions,
  names: readonly string[],
  access: BrokerAccess,
  settings: Record<string, unknown>,
): Promise<StartedProcess> => start(options, await loadServices(names), access, settings);

/** As in streams/nats.conf. */
const MOST_CONSUMERS = 100_000;

/** The private broker, with the users of this shape. */
export const launchBroker = async (
  options: UpOptions,
  shape: Shape,
  secrets: StackSecrets,
): Promise<Broker> => {
  const { environment, dataDir } = options;
  const located = await locateBroker(locateOptionsFrom(environment, systemClock, options.onProgress));
  return startBroker({
    executable: located.path,
    dataDir: join(dataDir, 'nats'),
    accounts: accountsOf(shape, secrets),
    clock: systemClock,
    sync: options.sync,
    // Each agent has a consumer on each of three streams.
    ...(limitsConsumers(located.version) && { maxConsumersPerStream: MOST_CONSUMERS }),
  });
};

/** What the host of this machine is called; an agent may have taken the usual name. */
export const hostName = ({ agent }: UpOptions): string => (agent === 'local' ? 'local-host' : 'local');

export const firstShape = (options: UpOptions): Shape => {
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
export const startPlane = async (options: UpOptions, parts: PlaneParts): Promise<StartedProcess> => {
  const { port, secretsDir, first, broker, control } = parts;
  const keeper = createIdentityKeeper({
    places: { dir: secretsDir, credentialsDir: secretsDir },
    first,
    provision: (added) => addConsumersOf(control, added),
    reload: (accounts) => broker.reload(accounts),
  });
  const identity = createIdentityService(emptyConfig, () => keeper);
  const services = [...(await loadServices(controlNames)), identity];
  const environment = { ...options.environment, ...tokenVariables(secretsDir, options) };
  return start({ ...options, environment }, services, control, controlSettings(options, port));
};

/** The runner of the agent that a stack begins with. */
export const startRunner = async (
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
export const startHost = async (
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

const saysWhoMayAsk = (environment: UpOptions['environment']): boolean =>
  TOKEN_VARIABLES.some((name) => environment[`FLEETLOG_GATEWAY_${name}`] !== undefined);

const tokenSettings = (dataDir: string, environment: UpOptions['environment']): Record<string, unknown> =>
  saysWhoMayAsk(environment) ? {} : { gatewayTokensFile: tokenFileIn(dataDir), gatewayRequireToken: false };

/** The tokens that were made for the stack: nobody has to send one, and whoever does is not turned away. */
const tokenVariables = (secretsDir: string, { environment }: UpOptions): Record<string, string> =>
  saysWhoMayAsk(environment)
    ? {}
    : {
        FLEETLOG_GATEWAY_API_TOKEN_FILE: join(secretsDir, 'api-token'),
        FLEETLOG_GATEWAY_VIEWER_TOKEN_FILE: join(secretsDir, 'viewer-token'),
      };
