// The port that provisioning works over, on a real broker: the translation is in libs/topology/broker-driver.ts.
import { createTopologyDriver } from '#libs/topology/broker-driver.ts';
import type { TopologyDriver } from '#libs/topology/driver.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { natsTopology } from './topology.ts';

/** Reads and changes the topology of the account that `connection` is in. */
export const natsTopologyDriver = (connection: NatsConnectionHandle): TopologyDriver =>
  createTopologyDriver(natsTopology(connection));
