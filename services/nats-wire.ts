// How a process of its own reaches the broker: the configuration section `nats`, the connection, and the check at start that
// everything durable is there as declared (services check, only `fleetlog provision` changes).
import type { Wire } from '#libs/service/process-plan.ts';
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import { checkTopology } from '#libs/topology/check.ts';
import { hostInboxPrefix, runnerInboxPrefix } from '#streams/accounts.ts';
import { topologyOf } from '#streams/consumers.ts';
import { agentOfUser, hostOfUser, NatsConfig, type NatsSettings } from './nats-config.ts';
import { openNatsPorts } from './wire.ts';

/** A runner's user may listen below its own prefix only (streams/accounts.ts). */
const inboxPrefixOf = ({ inboxPrefix, user }: NatsSettings): string | undefined => {
  const agent = agentOfUser(user);
  const host = hostOfUser(user);
  if (inboxPrefix !== undefined) return inboxPrefix;
  if (host !== undefined) return hostInboxPrefix(host);
  return agent === undefined ? undefined : runnerInboxPrefix(agent);
};

/** The ports of a process on its own connection. */
export const natsWire: Wire<NatsSettings> = {
  name: 'nats',
  config: NatsConfig,
  open: async (config, tools) => {
    const inboxPrefix = inboxPrefixOf(config);
    const { password } = config;
    const opened = await openNatsPorts(
      {
        servers: config.url,
        name: 'fleetlog',
        waitMs: config.waitMs,
        ...(config.user !== undefined && { user: config.user }),
        // Who is refused after a change of passwords finds the new one in its file.
        ...(password !== undefined && { password: () => password.revealLatest() }),
        ...(inboxPrefix !== undefined && { inboxPrefix }),
      },
      tools,
    );
    const isOfFleet = agentOfUser(config.user) === undefined && hostOfUser(config.user) === undefined;
    if (!(config.checkTopology ?? isOfFleet)) return opened;
    try {
      // Streams, buckets and the services' consumers; those of runners are theirs to miss.
      await checkTopology(
        topologyOf({ replicas: 1, agents: [] }),
        natsTopologyDriver(opened.connection),
        tools.clock,
      );
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  },
};
