// From the options of a start to the settings of one server: ports chosen, defaults filled in. Starts and writes nothing.
import type { BrokerSettings } from './broker-config.ts';
import type { StartBrokerOptions } from './broker.ts';
import { findFreePort, isPortFree } from './free-port.ts';
import { startFailure } from './start-failure.ts';

export interface Ports {
  readonly clientPort: number;
  readonly monitorPort: number;
}

const NOT_RUN = { code: null, signal: null };

/** The ports that were asked for, or free ones. Fault `BROKER_PORT_IN_USE` when one that was asked for is taken. */
export const choosePorts = async (options: StartBrokerOptions, host: string): Promise<Ports> => {
  const { clientPort, monitorPort } = options;
  for (const port of [clientPort, monitorPort]) {
    if (port === undefined || (await isPortFree(port, host))) continue;
    throw startFailure(NOT_RUN, [`nats-server: ${host}:${port}: address already in use`], { port });
  }
  return {
    clientPort: clientPort ?? (await findFreePort(host)),
    monitorPort: monitorPort ?? (await findFreePort(host)),
  };
};

/** Everything renderBrokerConfig needs. */
export const brokerSettings = (
  options: StartBrokerOptions,
  host: string,
  ports: Ports,
  storeDir: string,
): BrokerSettings => {
  const { accounts, cluster, maxPayloadBytes, maxFileBytes, maxMemoryBytes, maxConsumersPerStream } = options;
  return {
    serverName: options.serverName ?? 'fleetlog',
    host,
    ...ports,
    storeDir,
    sync: options.sync ?? 'always',
    accounts,
    ...(cluster === undefined ? {} : { cluster }),
    ...(maxPayloadBytes === undefined ? {} : { maxPayloadBytes }),
    ...(maxFileBytes === undefined ? {} : { maxFileBytes }),
    ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
    ...(maxConsumersPerStream === undefined ? {} : { maxConsumersPerStream }),
  };
};
