// The service `identity` of a deployment whose broker reads streams/nats.conf (containers): keeps secrets and users as files, gives the
// consumers of new agents to the broker as the control plane, and has it take up its users as the user of its system account.
import { list, text } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { reloadServers } from '#libs/nats/reload-servers.ts';
import type { Service } from '#libs/service/define-service.ts';
import { systemClock } from '#libs/system/clock.ts';
import { CONTROL_USER, SYSTEM_USER } from '#streams/accounts.ts';
import { createIdentityService, type IdentityKeeper } from './identity/service.ts';
import { addConsumersOf } from './provisioning.ts';
import { createIdentityKeeper, type Shape } from './stack-identity.ts';
import { ensureSecrets } from './stack-secrets.ts';
import { connectTo } from './wire.ts';

const NAME = {
  pattern: /^[a-z0-9][a-z0-9_-]{0,63}$/,
  expects: '1 to 64 of a-z 0-9 _ - and a letter or digit first',
};

const IdentityConfig = configSchema({
  secretsDir: text().describe(
    'Folder of the secrets, where fleetlog secrets init has made them; it is written to.',
  ),
  credentialsDir: text()
    .optional()
    .describe('Folder of the passwords of runners and hosts; default: that of the secrets.'),
  agents: list(NAME).default(['builder-1']).describe('Agents that the deployment begins with.'),
  hosts: list(NAME).default(['local']).describe('Hosts that the deployment begins with.'),
  tenant: text(NAME).default('local').describe('Boundary of both.'),
  project: text(NAME).default('main').describe('Boundary of both.'),
  brokerUrl: list().default(['nats://127.0.0.1:4222']).describe('Broker, or the members of a cluster.'),
});

const openKeeper = ({
  secretsDir: dir,
  credentialsDir = dir,
  agents,
  hosts,
  tenant,
  project,
  brokerUrl: servers,
}: ConfigOf<typeof IdentityConfig>): IdentityKeeper => {
  const places = { dir, credentialsDir };
  const first: Shape = {
    agents: agents.map((agent) => ({ tenant, project, agent })),
    hosts: hosts.map((host) => ({ tenant, project, host })),
  };
  const own = () => ensureSecrets(places, { agents: [], hosts: [] });
  return createIdentityKeeper({
    places,
    first,
    provision: async (added) => {
      const { controlPassword: password } = await own();
      await addConsumersOf({ servers, name: 'fleetlog-identity', user: CONTROL_USER, password }, added);
    },
    reload: async () => {
      const { systemPassword: password } = await own();
      const access = { servers, name: 'fleetlog-identity', user: SYSTEM_USER, password };
      const connection = await connectTo(access, systemClock);
      try {
        await reloadServers(connection);
      } finally {
        await connection.close();
      }
    },
  });
};

/** The service, by its settings. */
export const createDeploymentIdentity = (): Service =>
  createIdentityService(IdentityConfig, ({ config }) => openKeeper(config)) as Service;
