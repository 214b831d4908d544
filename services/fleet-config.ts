// Configuration that every process of a deployment shares: where the broker is, who asks, and the fleet's shape.
import { duration, flag, integer, list, secret, text } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';

/** Section `nats`: `FLEETLOG_NATS_URL` and so on. */
export const NatsConfig = configSchema({
  url: list()
    .default(['nats://127.0.0.1:4222'])
    .describe('Broker, or the members of a cluster, separated by commas.'),
  user: text().optional().describe('User name at the broker.'),
  password: secret().optional().describe('Password at the broker.'),
  inboxPrefix: text()
    .optional()
    .describe('Where answers come to; runners are allowed nothing but their own. Default: by the user name.'),
  waitMs: duration({ min: 0 })
    .default(5_000)
    .describe('How long to wait for a broker that is not up yet, per attempt.'),
  checkTopology: flag()
    .optional()
    .describe(
      'Check at start that everything durable is there as declared. Default: yes, but not for runners.',
    ),
});
export type NatsSettings = ConfigOf<typeof NatsConfig>;

/** Section `fleet`: `FLEETLOG_FLEET_AGENTS` and so on. The same for all processes of a deployment. */
export const FleetConfig = configSchema({
  tenant: text().default('local').describe('Tenant of this deployment.'),
  project: text().default('main').describe('Project of this deployment.'),
  agents: list().default(['builder-1']).describe('Agents that have a runner.'),
  replicas: integer({ min: 1, max: 5 })
    .default(1)
    .describe('Copies of everything durable: 1 on one machine, 3 in a cluster.'),
});
export type FleetSettings = ConfigOf<typeof FleetConfig>;

/** True for the broker user of a runner: it is allowed its own subjects only. */
export const isRunnerUser = (user: string | undefined): boolean => user?.startsWith('runner-') === true;
