// Provisioning a real broker: everything declared comes to be, a second time changes nothing, and nothing is destroyed.
import { Fault } from '#libs/kernel/fault.ts';
import { invariant } from '#libs/kernel/invariant.ts';
import { connectNats, type NatsConnectionHandle } from '#libs/nats/connect.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readPlan, reconcileTopology } from '#libs/topology/apply.ts';
import { createTopologyDriver } from '#libs/topology/broker-driver.ts';
import { checkTopology } from '#libs/topology/check.ts';
import type { StreamDefinition, Topology } from '#libs/topology/definitions.ts';
import type { Difference } from '#libs/topology/difference.ts';
import { renderPlan } from '#libs/topology/render-plan.ts';
import { topologyOf } from '#streams/consumers.ts';
import { encodeRunEvent } from '#streams/run-codec.ts';
import { partitionOf } from '#streams/subjects.ts';
import { RUN_EXAMPLES } from '#streams/generate-examples.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const clock = systemClock;
let broker: FreshBroker;
let connection: NatsConnectionHandle;

const declared = topologyOf({
  replicas: 1,
  agents: [{ tenant: 'acme', project: 'web', agent: 'builder-1' }],
});
/** Sizes fit to a small disk, as on any machine that runs tests. */
const storageBudgetBytes = 64 * 1024 ** 2;

const connectTo = (at: FreshBroker): Promise<NatsConnectionHandle> =>
  connectNats({ servers: [at.url], user: at.user, password: at.password, name: 'provision-test', clock });
const driver = (of = connection) => createTopologyDriver(natsTopology(of));
const reconcile = (topology: Topology = declared) =>
  reconcileTopology({ declared: topology, driver: driver(), clock, storageBudgetBytes });
const planOf = (topology: Topology = declared) =>
  readPlan({ declared: topology, driver: driver(), clock, storageBudgetBytes });

const withStream = (name: string, change: Partial<StreamDefinition>): Topology => ({
  ...declared,
  streams: declared.streams.map((stream) => (stream.name === name ? { ...stream, ...change } : stream)),
});
const about = (differences: readonly Difference[], what: string): readonly Difference[] =>
  differences.filter((difference) => difference.what === what);

beforeAll(async () => {
  broker = await freshBroker();
  connection = await connectTo(broker);
});
afterAll(async () => {
  await connection.close();
  await broker[Symbol.asyncDispose]();
});

test('services refuse an empty broker and say what to run', async () => {
  const refusal = checkTopology(declared, driver(), clock);
  await expect(refusal).rejects.toThrow(/fleetlog provision[\s\S]*\+ stream TRANSITIONS create/);
  await expect(refusal).rejects.toMatchObject({ code: 'TOPOLOGY_MISSING' });
});

test('two provisions at once on an empty broker both succeed, and everything is there', async () => {
  const other = await connectTo(broker);
  const outcomes = await Promise.all(
    [connection, other].map((each) =>
      reconcileTopology({ declared, driver: driver(each), clock, storageBudgetBytes }),
    ),
  );
  await other.close();
  for (const { result, remaining } of outcomes) {
    expect(result.failed).toBeNull();
    expect(remaining?.differences).toEqual([]);
  }
  await checkTopology(declared, driver(), clock);
});

test('a second provision changes nothing', async () => {
  const { plan, result } = await reconcile();
  expect(plan.differences).toEqual([]);
  expect(result.done).toEqual([]);
  expect(renderPlan(plan)).toContain('nothing to do');
});

test('sizes are scaled to the budget, and the plan says so and what is kept', async () => {
  const plan = await planOf();
  expect(plan.warnings.join()).toMatch(/scaled by 0\.\d+/);
  const sum = plan.retention.reduce((bytes, { maxBytes }) => bytes + Math.max(0, maxBytes), 0);
  expect(sum).toBeLessThanOrEqual(storageBudgetBytes);
  expect(renderPlan(plan)).toMatch(/stream +EVENTS +at most 30d +at most \d+MiB/);
  expect(renderPlan(plan)).toMatch(/stream +TRANSITIONS +for ever/);
});

test('a bucket of ours is one that any client opens', async () => {
  const { Kvm } = await import('@nats-io/kv');
  const kv = await new Kvm(connection.nc).open('leases');
  const status = await kv.status();
  expect(status).toMatchObject({ bucket: 'leases', history: 1, replicas: 1 });
  await kv.create('acme.web.run.x', '{}', '1h');
  expect((await kv.get('acme.web.run.x'))?.string()).toBe('{}');
  await kv.purge('acme.web.run.x');
});

describe('with entries in the log', () => {
  beforeAll(async () => {
    const entry = encodeRunEvent(RUN_EXAMPLES['fleetlog.run.created.v1'], {
      boundary: { tenant: 'acme', project: 'web' },
      id: 'x:1',
      source: '/service/runs',
      actor: 'user:anna',
      timeMs: clock.now(),
    });
    const { jetstream } = await import('@nats-io/jetstream');
    const { headers } = await import('@nats-io/transport-node');
    const stored = headers();
    for (const [name, value] of Object.entries(entry.headers)) stored.set(name, value);
    const js = jetstream(connection.nc);
    await js.publish(entry.subject, entry.body, { headers: stored, msgID: entry.id });
    for (const size of [1, 2, 3])
      await js.publish(
        `fleet.acme.web.evt.2.builder-1.text`,
        new Uint8Array(600_000 * size).slice(0, 600_000),
      );
  });

  test('what may change is changed and nothing else', async () => {
    const changed = withStream('EVENTS', { description: 'New words.', maxAgeMs: 60 * 86_400_000 });
    const { plan, result } = await reconcile(changed);
    expect(plan.differences.map(({ kind, what, field }) => [kind, what, field])).toEqual([
      ['update', 'EVENTS', 'description'],
      ['update', 'EVENTS', 'maxAgeMs'],
    ]);
    expect(result).toMatchObject({ failed: null, done: [{ kind: 'update-stream', label: 'EVENTS' }] });
    expect((await planOf(changed)).differences).toEqual([]);
    await reconcile();
  });

  const DESTROYING: readonly [string, string, Partial<StreamDefinition>, string, string][] = [
    ['a size below the content', 'EVENTS', { maxBytes: 1024 ** 2 }, 'maxBytes', 'destroy-refused'],
    [
      'an age that entries are beyond',
      'TRANSITIONS',
      { maxAgeMs: 1000, duplicateWindowMs: 1000 },
      'maxAgeMs',
      'destroy-refused',
    ],
    [
      'subjects taken away',
      'TRANSITIONS',
      { subjects: ['fleet.*.*.run.*.*'] },
      'subjects',
      'destroy-refused',
    ],
    ['deletes allowed again', 'TRANSITIONS', { denyDelete: false }, 'denyDelete', 'recreate-refused'],
    ['replicas on one server', 'EVENTS', { replicas: 3 }, 'replicas', 'refused'],
    ['schedules turned off', 'TIMERS', { allowSchedules: false }, 'allowSchedules', 'recreate-refused'],
  ];
  for (const [what, name, change, field, kind] of DESTROYING)
    test(`${what} are refused, with what to do, and the entries stay`, async () => {
      const before = (await driver().read()).streams.map(({ settings, entries }) => [settings.name, entries]);
      const topology = withStream(name, change);
      const { plan, result } = await reconcileTopology({ declared: topology, driver: driver(), clock });
      const refused = about(plan.differences, name).find((difference) => difference.field === field);
      expect(refused).toMatchObject({ kind });
      expect(refused?.remedy).toEqual(expect.any(String));
      expect(result.failed).toBeNull();
      const after = (await driver().read()).streams.map(({ settings, entries }) => [settings.name, entries]);
      expect(after).toEqual(before);
      await reconcile();
    });

  test('a stream that is no longer declared is left alone and named', async () => {
    const without = { ...declared, streams: declared.streams.filter(({ name }) => name !== 'MESSAGES') };
    const plan = await planOf(without);
    expect(about(plan.differences, 'MESSAGES')).toMatchObject([{ kind: 'unknown' }]);
    expect(plan.steps.map(({ label }) => label)).not.toContain('MESSAGES');
  });

  test('a limit that somebody put on the log is taken off again, and services notice it', async () => {
    const { streams } = await driver().read();
    const [log] = streams.filter(({ settings }) => settings.name === 'TRANSITIONS');
    invariant(log, 'the log is there');
    await driver().updateStream({ ...log.settings, maxMessages: 5 });
    await expect(checkTopology(declared, driver(), clock)).rejects.toThrow(/maxMessages 5 -> -1/);
    expect((await reconcile()).result.done.map(({ label }) => label)).toEqual(['TRANSITIONS']);
    await checkTopology(declared, driver(), clock);
  });

  test('a consumer changes its filter and keeps its place, and is not made anew once it has handed out entries', async () => {
    const readers = {
      stream: 'TRANSITIONS',
      name: 'readers-of-runs',
      description: 'Reads.',
      filterSubjects: ['fleet.*.*.run.*.*'],
      ackWaitMs: 10_000,
      maxAckPending: 10,
    };
    const change = (more: object): Topology => ({
      ...declared,
      consumers: [...declared.consumers, { ...readers, ...more }],
    });
    await reconcile(change({}));
    const { jetstream } = await import('@nats-io/jetstream');
    const consumer = await jetstream(connection.nc).consumers.get('TRANSITIONS', readers.name);
    const message = await consumer.next({ expires: 5000 });
    await message?.ackAck();
    const refiltered = change({ filterSubjects: [`fleet.acme.*.run.${partitionOf('x')}.x`] });
    expect((await reconcile(refiltered)).result).toMatchObject({
      failed: null,
      done: [{ kind: 'update-consumer' }],
    });
    await reconcile(change({}));
    const grouped = change({ priorityGroup: 'one' });
    const { plan } = await reconcile(grouped);
    expect(plan.differences).toMatchObject([{ kind: 'recreate-refused', field: 'priorityGroup' }]);
    expect((await consumer.info()).ack_floor.stream_seq).toBe(1);
    await driver().deleteConsumer(readers.stream, readers.name);
  });

  test('a consumer that has handed out nothing is made anew', async () => {
    const grouped: Topology = {
      ...declared,
      consumers: declared.consumers.map((each) =>
        each.name === 'runs-reports' ? { ...each, priorityGroup: 'other' } : each,
      ),
    };
    expect((await reconcile(grouped)).result).toMatchObject({
      failed: null,
      done: [{ kind: 'recreate-consumer' }],
    });
    expect((await planOf(grouped)).differences).toEqual([]);
    expect((await reconcile()).result.done).toMatchObject([{ kind: 'recreate-consumer' }]);
  });

  test('a step that the broker refuses stops the rest, and the next provision goes on', async () => {
    const broken: Topology = {
      ...declared,
      streams: [
        ...declared.streams,
        {
          ...withStream('x', {}).streams[0],
          name: 'ZZZ',
          subjects: ['zzz.>'],
          maxAgeMs: 1000,
        } as StreamDefinition,
        { ...withStream('x', {}).streams[0], name: 'ZZZZ', subjects: ['zzzz.>'] } as StreamDefinition,
      ],
    };
    const { result, remaining } = await reconcile(broken);
    expect(result.failed?.step.label).toBe('ZZZ');
    expect(result.failed?.fault).toBeInstanceOf(Fault);
    expect(result.failed?.fault).toMatchObject({ code: 'TOPOLOGY_REFUSED', retry: 'never' });
    expect(result.left.map(({ label }) => label)).toContain('ZZZZ');
    expect(remaining).toBeNull();
  });
});

test('the partition of an id is the one that the server computes', async () => {
  const admin = natsTopology(connection);
  await admin.createStream({
    name: 'PARTITIONED',
    subjects: ['partition-test.>'],
    subject_transform: {
      src: 'partition-test.*',
      dest: 'partition-test.{{partition(16,1)}}.{{wildcard(1)}}',
    },
  });
  const { jetstream, jetstreamManager } = await import('@nats-io/jetstream');
  const ids = [
    'a',
    'b',
    'builder-1',
    'x_y',
    'A'.repeat(100),
    ...Array.from({ length: 200 }, (_, i) => `run_${i * 7919}`),
  ];
  for (const id of ids) await jetstream(connection.nc).publish(`partition-test.${id}`);
  const manager = await jetstreamManager(connection.nc);
  const info = await manager.streams.info('PARTITIONED', { subjects_filter: '>' });
  expect(Object.keys(info.state.subjects ?? {}).sort()).toEqual(
    ids.map((id) => `partition-test.${partitionOf(id)}.${id}`).sort(),
  );
});
