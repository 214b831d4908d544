// Configuration that every process of a deployment shares: where the broker is and who asks.
import { duration, flag, list, secret, text } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { agentOfRunnerUser } from '#streams/runner-user.ts';

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

const HOST_USER = /^host-(.+)$/;

/** The agent of a runner's broker user; undefined for the control plane's. A runner is allowed its own subjects only. */
export const agentOfUser = agentOfRunnerUser;

/** The same for a host's. */
export const hostOfUser = (user: string | undefined): string | undefined => HOST_USER.exec(user ?? '')?.[1];
