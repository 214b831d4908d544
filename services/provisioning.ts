// Brings what is declared for a deployment to the broker, each on a connection of its own: everything durable, or only what new agents need.
import { toFault } from '#libs/kernel/fault.ts';
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import { systemClock } from '#libs/system/clock.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import type { TopologyDriver } from '#libs/topology/driver.ts';
import { consumerSettings } from '#libs/topology/settings.ts';
import { topologyOf } from '#streams/consumers.ts';
import type { Shape } from './stack-identity.ts';
import { connectTo, type BrokerAccess } from './wire.ts';

const withDriver = async (
  access: BrokerAccess,
  work: (driver: TopologyDriver) => Promise<void>,
): Promise<void> => {
  const connection = await connectTo({ ...access, name: 'fleetlog-provision' }, systemClock);
  try {
    await work(natsTopologyDriver(connection));
  } finally {
    await connection.close();
  }
};

/** Streams, buckets and consumers. Faults: those of the connection and of the broker. */
export const provisionShape = (
  access: BrokerAccess,
  shape: Shape,
  storage: { readonly storageBudgetBytes?: number } = {},
): Promise<void> =>
  withDriver(access, async (driver) => {
    const declared = topologyOf({ replicas: 1, ...shape });
    const { result } = await reconcileTopology({ declared, driver, clock: systemClock, ...storage });
    if (result.failed !== null) throw result.failed.fault;
  });

/** Consumers made at once. */
const AT_ONCE = 16;

/** The consumers of these agents; streams and what is there stay as they are, whatever else the deployment has. Faults as before. */
export const addConsumersOf = (access: BrokerAccess, { agents }: Pick<Shape, 'agents'>): Promise<void> =>
  withDriver(access, async (driver) => {
    const common = new Set(topologyOf({ replicas: 1, agents: [] }).consumers.map(({ name }) => name));
    const mine = topologyOf({ replicas: 1, agents }).consumers.filter(({ name }) => !common.has(name));
    const waiting = mine.values();
    const work = async (): Promise<void> => {
      for (const consumer of waiting)
        try {
          await driver.createConsumer(consumerSettings(consumer));
        } catch (error) {
          // It is there, as an earlier version made it: `fleetlog provision` changes it.
          if (toFault(error).code !== 'TOPOLOGY_TAKEN') throw error;
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  });
