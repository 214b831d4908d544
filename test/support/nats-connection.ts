// Connections of the control plane to the broker of a test.
import { connectNats, type ConnectNatsOptions, type NatsConnectionHandle } from '#libs/nats/connect.ts';
import { systemClock } from '#libs/system/clock.ts';
import { testBroker, type TestBroker } from './broker.ts';

/** Connects to a broker or a cluster; the caller closes it. */
export const connectTo = (
  broker: Pick<TestBroker, 'user' | 'password'> & { readonly urls: readonly string[] },
  options: Partial<ConnectNatsOptions> = {},
): Promise<NatsConnectionHandle> =>
  connectNats({
    servers: broker.urls,
    user: broker.user,
    password: broker.password,
    name: 'test',
    clock: systemClock,
    ...options,
  });

/** Connects to the broker that the tests of this worker share. */
export const testConnection = async (
  options: Partial<ConnectNatsOptions> = {},
): Promise<NatsConnectionHandle> => {
  const broker = await testBroker();
  return connectTo({ ...broker, urls: [broker.url] }, options);
};

/** The heartbeats that pulls of consumers of a stream ask for from now on, in their order. */
export const overheardPulls = (
  connection: NatsConnectionHandle,
  stream: string,
): { readonly heartbeatsMs: readonly number[]; readonly stop: () => void } => {
  const heartbeatsMs: number[] = [];
  const subscription = connection.nc.subscribe(`$JS.API.CONSUMER.MSG.NEXT.${stream}.>`, {
    callback: (_error, message) => {
      const { idle_heartbeat: heartbeatNs = 0 } = message.json<{ readonly idle_heartbeat?: number }>();
      heartbeatsMs.push(heartbeatNs / 1_000_000);
    },
  });
  return { heartbeatsMs, stop: () => subscription.unsubscribe() };
};
