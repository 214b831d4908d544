// Laws of plans over random declarations and random brokers: applying one leaves nothing to do, no entry and no position is ever
// lost, and two that provision at once end in the same state. The broker in memory deletes what a real one would delete.
import { createManualClock } from '#libs/memory/clock.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import type {
  BucketDefinition,
  ConsumerDefinition,
  StreamDefinition,
  Topology,
} from '#libs/topology/definitions.ts';
import { isRefusal } from '#libs/topology/difference.ts';
import { planTopology } from '#libs/topology/plan.ts';
import { renderPlan } from '#libs/topology/render-plan.ts';
import { bucketSettings, consumerSettings, streamSettings } from '#libs/topology/settings.ts';
import { MemoryTopology, type MemoryConsumer, type MemoryStream } from '#test/support/memory-topology.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

const NOW = 1_763_712_000_000;
const HOUR = 3_600_000;
const NAMES = ['A', 'B', 'C'] as const;

const flag = fc.boolean();
const streamDefinition = (name: string): fc.Arbitrary<StreamDefinition> =>
  fc
    .record({
      description: fc.constantFrom('one', 'two'),
      subjects: fc.uniqueArray(fc.constantFrom(`${name}.a`, `${name}.b`, `${name}.*`, `${name}.c.>`), {
        minLength: 1,
      }),
      maxAgeMs: fc.constantFrom(0, HOUR, 24 * HOUR),
      maxBytes: fc.constantFrom(-1, 500, 5000),
      duplicateWindowMs: fc.constantFrom(1000, 60_000),
      replicas: fc.constantFrom(1, 1, 1, 3),
      allowAtomic: flag,
      allowSchedules: flag,
      allowMessageTtl: flag,
      denyDelete: flag,
      denyPurge: flag,
      compression: fc.constantFrom('s2' as const, 'none' as const),
    })
    // A stream takes no subject twice.
    .map((made) => ({
      name,
      ...made,
      subjects: made.subjects.includes(`${name}.*`) ? [`${name}.*`] : made.subjects,
    }));

const bucketDefinition: fc.Arbitrary<BucketDefinition> = fc
  .record({ history: fc.constantFrom(1, 3, 10), markerTtlMs: fc.constantFrom(undefined, 60_000) })
  .map(({ history, markerTtlMs }) => ({
    name: 'views',
    description: 'Views.',
    history,
    replicas: 1,
    holds: 'derived',
    ...(markerTtlMs !== undefined && { markerTtlMs }),
  }));

const consumerDefinition = (name: string): fc.Arbitrary<ConsumerDefinition> =>
  fc
    .record({
      stream: fc.constantFrom(...NAMES),
      filterSubjects: fc.constantFrom(['x.*'], ['y.*'], ['x.*', 'y.*']),
      ackWaitMs: fc.constantFrom(1000, 30_000),
      maxAckPending: fc.constantFrom(1, 100),
      priorityGroup: fc.constantFrom(undefined, 'one'),
      deliver: fc.constantFrom('all' as const, 'new' as const),
    })
    .map(({ priorityGroup, ...made }) => ({
      name,
      description: 'Reads.',
      ...made,
      ...(priorityGroup !== undefined && { priorityGroup }),
    }));

const some = <T>(values: readonly fc.Arbitrary<T>[]): fc.Arbitrary<T[]> =>
  fc
    .tuple(...values.map((value) => fc.option(value, { nil: undefined })))
    .map((made) => made.filter((each) => each !== undefined));

const topology: fc.Arbitrary<Topology> = fc.record({
  streams: some(NAMES.map(streamDefinition)),
  buckets: some([bucketDefinition]),
  consumers: some(['p', 'q'].map(consumerDefinition)),
  objectStores: fc.constant([]),
});

const entries = fc.array(
  fc.record({
    subject: fc.constantFrom('x', 'y'),
    bytes: fc.integer({ min: 1, max: 300 }),
    storedAt: fc.integer({ min: NOW - 48 * HOUR, max: NOW }),
  }),
  { maxLength: 12 },
);

interface World {
  readonly streams: readonly MemoryStream[];
  readonly consumers: readonly MemoryConsumer[];
}

/** A broker as some other declaration, and somebody's hands, have left it. */
const world: fc.Arbitrary<World> = fc
  .tuple(
    topology,
    fc.array(entries, { minLength: 4, maxLength: 4 }),
    fc.array(fc.nat(2), { minLength: 2, maxLength: 2 }),
    fc.constantFrom(-1, 20),
  )
  .map(([left, contents, delivered, maxMessages]) => ({
    streams: [...left.streams.map(streamSettings), ...left.buckets.map(bucketSettings)].map(
      (settings, at) => ({
        settings: { ...settings, maxMessages, replicas: 1 },
        entries: (contents[at] ?? []).toSorted((a, b) => a.storedAt - b.storedAt),
      }),
    ),
    consumers: left.consumers
      .filter((each) => left.streams.some(({ name }) => name === each.stream))
      .map((each, at) => ({ settings: consumerSettings(each), delivered: delivered[at] ?? 0 })),
  }));

const clock = createManualClock(NOW);

test('applying a plan leaves nothing to do but what it has refused', async () => {
  await fc.assert(
    fc.asyncProperty(topology, world, async (declared, left) => {
      const driver = new MemoryTopology({ nowMs: NOW, ...left });
      const { plan, result, remaining } = await reconcileTopology({ declared, driver, clock });
      expect(result.failed, renderPlan(plan)).toBeNull();
      expect(remaining?.steps).toEqual([]);
      expect(remaining?.differences.every((each) => isRefusal(each) || each.kind === 'unknown')).toBe(true);
      const again = planTopology({ declared, actual: await driver.read(), nowMs: NOW });
      expect(again.differences).toEqual(remaining?.differences);
      if (plan.steps.length === 0) expect(driver.calls).toEqual([]);
    }),
    propertyRuns(400),
  );
});

test('no plan ever deletes an entry, a stream, a bucket or the position of a consumer', async () => {
  await fc.assert(
    fc.asyncProperty(topology, world, async (declared, left) => {
      const driver = new MemoryTopology({ nowMs: NOW, ...left });
      const before = new Map(driver.streams);
      await reconcileTopology({ declared, driver, clock });
      for (const [name, { entries: held }] of before)
        expect(driver.streams.get(name)?.entries, name).toEqual(held);
      for (const { settings, delivered } of left.consumers) {
        const kept = driver.consumers.get(`${settings.stream}/${settings.name}`);
        expect(kept?.delivered).toBe(delivered);
      }
    }),
    propertyRuns(400),
  );
});

test('every refusal says why and what to do', async () => {
  await fc.assert(
    fc.asyncProperty(topology, world, async (declared, left) => {
      const actual = await new MemoryTopology({ nowMs: NOW, ...left }).read();
      const plan = planTopology({ declared, actual, nowMs: NOW });
      for (const each of plan.differences.filter(isRefusal)) {
        expect(each.reason).not.toBeNull();
        expect(each.remedy).not.toBeNull();
      }
    }),
    propertyRuns(200),
  );
});

test('two that provision at once, step by step in any order, end in the state of one', async () => {
  await fc.assert(
    fc.asyncProperty(topology, world, fc.scheduler(), async (declared, left, scheduler) => {
      const alone = new MemoryTopology({ nowMs: NOW, ...left });
      await reconcileTopology({ declared, driver: alone, clock });
      const before = (call: string): Promise<void> => scheduler.schedule(Promise.resolve(), call);
      const driver = new MemoryTopology({ nowMs: NOW, ...left, before });
      const both = Promise.all([1, 2].map(() => reconcileTopology({ declared, driver, clock })));
      const outcomes = await scheduler.waitFor(both);
      for (const { result } of outcomes) expect(result.failed).toBeNull();
      expect(Object.fromEntries(driver.streams)).toEqual(Object.fromEntries(alone.streams));
      expect(Object.fromEntries(driver.consumers)).toEqual(Object.fromEntries(alone.consumers));
    }),
    propertyRuns(200),
  );
});
