// Every service of the product, in start order. A new service is added here and nowhere else; its projections in projections.ts.
// Each is loaded when it is asked for: a runner's process holds nothing of the gateway.
import type { Service } from '#libs/service/define-service.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { readBuildFacts } from '#libs/system/process-facts.ts';
import { newSecret } from '#libs/system/secrets.ts';

type Load = () => Promise<Service>;

/** The services that decide, fold and answer. */
const CONTROL: Readonly<Record<string, Load>> = {
  runs: async () => (await import('./runs/service.ts')).runs,
  sessions: async () => (await import('./sessions/service.ts')).sessions,
  mail: async () => (await import('./mail/service.ts')).mail,
  tasks: async () => (await import('./tasks/service.ts')).tasks,
  dispatch: async () => (await import('./dispatch/service.ts')).dispatch,
  lifecycle: async () => (await import('./lifecycle/service.ts')).lifecycle,
  hosts: async () => {
    const { createHostsService } = await import('./hosts/service.ts');
    return createHostsService({ version: readBuildFacts().version });
  },
  audit: async () => (await import('./audit/service.ts')).audit,
  gateway: async () => (await import('./gateway/service.ts')).gateway,
};

/** The service that drives one agent's program. */
const RUNNER: Load = async () => {
  const { createRunnerService } = await import('./runner/service.ts');
  return createRunnerService({ environment: readEnvironment(), newSecret });
};

/** The service that starts and stops runners on one machine. */
const HOST: Load = async () => {
  const { createHostService } = await import('./host/service.ts');
  const { hostSurroundings } = await import('./host-surroundings.ts');
  return createHostService(hostSurroundings());
};

/** The service that gives new agents a user at a broker that reads streams/nats.conf. */
const IDENTITY: Load = async () => (await import('./deployment-identity.ts')).createDeploymentIdentity();

const ALL: Readonly<Record<string, Load>> = { ...CONTROL, identity: IDENTITY, host: HOST, runner: RUNNER };

/** Names of all of them. */
export const serviceNames: readonly string[] = Object.keys(ALL);
export const controlNames: readonly string[] = Object.keys(CONTROL);

/** Loads services by name, in start order; names that there are not are left out. */
export const loadServices = (names: readonly string[]): Promise<readonly Service[]> =>
  Promise.all(Object.entries(ALL).flatMap(([name, load]) => (names.includes(name) ? [load()] : [])));

/** The names that are not among these services. */
export const otherNames = (services: readonly Service[]): readonly string[] =>
  serviceNames.filter((name) => !services.some((service) => service.name === name));
