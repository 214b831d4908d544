// The three-node cluster that other fault tests stand on: it forms, loses its leader, and takes it back.
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { expect, test } from 'vitest';
import { testCluster, type TestCluster } from '#test/support/broker.ts';

const dial = (cluster: TestCluster): Promise<NatsConnection> =>
  connect({
    servers: [...cluster.urls],
    user: cluster.user,
    pass: cluster.password,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    pingInterval: 500,
    maxPingOut: 2,
  });

const publishUntilAccepted = async (
  connection: NatsConnection,
  subject: string,
  id: string,
): Promise<number> => {
  for (;;) {
    try {
      return (await jetstream(connection).publish(subject, id, { msgID: id, timeout: 1000 })).seq;
    } catch {
      await connection.flush().catch(() => {});
    }
  }
};

test('a cluster loses its leader, accepts appends again, and takes the dead member back', async () => {
  await using cluster = await testCluster();
  const connection = await dial(cluster);
  const manager = await jetstreamManager(connection);
  const info = await manager.streams.add({ name: 'S', subjects: ['s.>'], num_replicas: 3 });
  expect(await publishUntilAccepted(connection, 's.a', 'first')).toBe(1);

  const leader = cluster.nodes.find(({ name }) => name === info.cluster?.leader);
  await leader?.broker.kill();
  expect(await publishUntilAccepted(connection, 's.a', 'second')).toBe(2);

  await leader?.broker.restart();
  await cluster.ready();
  expect((await manager.streams.info('S')).state.messages).toBe(2);
  await connection.close();
}, 60_000);
