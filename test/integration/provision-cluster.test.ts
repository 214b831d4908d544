// Provisioning where it is less simple: a cluster of three, growth from one replica to three, and a disk that is too small.
import { connectNats, type NatsConnectionHandle } from '#libs/nats/connect.ts';
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readPlan, reconcileTopology, type ReconcileOutcome } from '#libs/topology/apply.ts';
import type { Topology } from '#libs/topology/definitions.ts';
import { checkTopology } from '#libs/topology/check.ts';
import { renderPlan } from '#libs/topology/render-plan.ts';
import { topologyOf } from '#streams/consumers.ts';
import { freshBroker, testCluster } from '#test/support/broker.ts';
import { expect, test } from 'vitest';

const clock = systemClock;
const storageBudgetBytes = 64 * 1024 ** 2;
const declared = (replicas: number): Topology =>
  topologyOf({ replicas, agents: [{ tenant: 'acme', project: 'web', agent: 'builder-1' }] });

/** One of each: growing a stream to three servers takes the cluster seconds. */
const some = (replicas: number): Topology => {
  const { streams, buckets, consumers } = declared(replicas);
  return {
    streams: streams.filter(({ name }) => name === 'TRANSITIONS'),
    buckets: buckets.filter(({ name }) => name === 'leases'),
    consumers: consumers.filter(({ stream }) => stream === 'TRANSITIONS'),
    objectStores: [],
  };
};

const reconcile = (connection: NatsConnectionHandle, topology: Topology): Promise<ReconcileOutcome> =>
  reconcileTopology({
    declared: topology,
    driver: natsTopologyDriver(connection),
    clock,
    storageBudgetBytes,
  });

test('a cluster is provisioned by two at once, grows to three replicas, and never back by itself', async () => {
  await using cluster = await testCluster();
  const { user, password } = cluster;
  const connections = await Promise.all(
    ['one', 'two'].map((name) =>
      connectNats({ servers: cluster.urls, user, password, name, clock, waitMs: 20_000 }),
    ),
  );
  const [connection] = connections;
  if (connection === undefined) return expect.unreachable();
  for (const { result, remaining } of await Promise.all(
    connections.map((each) => reconcile(each, some(1))),
  )) {
    expect(result.failed).toBeNull();
    expect(remaining?.differences).toEqual([]);
  }
  const grown = await reconcile(connection, some(3));
  expect(grown.plan.differences.every(({ kind, field }) => kind === 'update' && field === 'replicas')).toBe(
    true,
  );
  expect(grown.result.failed).toBeNull();
  expect(grown.remaining?.differences).toEqual([]);
  await checkTopology(some(3), natsTopologyDriver(connection), clock);
  const shrunk = await reconcile(connection, some(1));
  expect(shrunk.result.done).toEqual([]);
  expect(new Set(shrunk.plan.differences.map(({ kind }) => kind))).toEqual(new Set(['destroy-refused']));
  await Promise.all(connections.map((each) => each.close()));
  return undefined;
}, 60_000);

test('a disk that is too small stops the first time, and a budget makes everything fit', async () => {
  await using broker = await freshBroker({ maxFileBytes: 100 * 1024 ** 2 });
  const { url, user, password } = broker;
  const connection = await connectNats({ servers: [url], user, password, name: 'small', clock });
  const driver = natsTopologyDriver(connection);
  const { result } = await reconcileTopology({ declared: declared(1), driver, clock });
  expect(result.failed?.fault).toMatchObject({
    code: 'TOPOLOGY_FULL',
    message: expect.stringContaining('give a storage budget') as string,
  });
  const fitted = await reconcile(connection, declared(1));
  expect(fitted.result.failed).toBeNull();
  expect(fitted.remaining?.differences).toEqual([]);
  expect(renderPlan(fitted.plan)).toMatch(/! storage: 67108864 bytes are available/);
  const again = await readPlan({ declared: declared(1), driver, clock, storageBudgetBytes });
  expect(again.differences).toEqual([]);
  await connection.close();
});
