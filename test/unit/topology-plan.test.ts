// Plans: what they create, change, refuse and leave alone.
import { applyPlan } from '#libs/topology/apply.ts';
import type { Topology } from '#libs/topology/definitions.ts';
import type { ServerFacts } from '#libs/topology/driver.ts';
import { bucketSettings, consumerSettings, streamSettings } from '#libs/topology/settings.ts';
import { overlaps } from '#libs/topology/subject-overlap.ts';
import { MemoryTopology } from '#test/support/memory-topology.ts';
import {
  bucket,
  consumer,
  DAY,
  declared,
  entry,
  MIB,
  NOW,
  planFor,
  present,
  stream,
  withConsumer,
  withStream,
} from '#test/support/small-topology.ts';
import { describe, expect, test } from 'vitest';

describe('a plan', () => {
  test('creates all that is missing, streams before the consumers on them', async () => {
    const plan = await planFor(declared, new MemoryTopology({ nowMs: NOW }));
    expect(plan.steps.map(({ kind, label }) => `${kind} ${label}`)).toEqual([
      'create-stream LOG',
      'create-stream views',
      'create-consumer LOG/reader',
    ]);
  });

  test('of what is there as declared is empty, in whatever order subjects are told', async () => {
    const twice = { ...stream, subjects: ['log.a', 'log.b'] };
    const turned = streamSettings({ ...stream, subjects: ['log.b', 'log.a'] });
    const driver = present({
      streams: [
        { settings: turned, entries: [entry(1)] },
        { settings: bucketSettings(bucket), entries: [] },
      ],
    });
    expect((await planFor({ ...declared, streams: [twice] }, driver)).differences).toEqual([]);
    expect((await planFor(declared, present())).differences).toEqual([]);
  });

  const REFUSED: readonly [string, Topology, string, string][] = [
    ['a size below the content', withStream({ maxBytes: 200 }), 'maxBytes', 'destroy-refused'],
    ['an age that entries are beyond', withStream({ maxAgeMs: DAY }), 'maxAgeMs', 'destroy-refused'],
    [
      'an age that entries are at, by another clock',
      withStream({ maxAgeMs: 2 * DAY + 30_000 }),
      'maxAgeMs',
      'destroy-refused',
    ],
    ['subjects taken away', withStream({ subjects: ['log.a'] }), 'subjects', 'destroy-refused'],
    [
      'a shorter history',
      { ...declared, buckets: [{ ...bucket, history: 1 }] },
      'maxMessagesPerSubject',
      'destroy-refused',
    ],
    ['replicas on one server', withStream({ replicas: 3 }), 'replicas', 'refused'],
    ['another start of a consumer', withConsumer({ deliver: 'new' }), 'deliver', 'recreate-refused'],
    [
      'a priority group of a consumer at work',
      withConsumer({ priorityGroup: 'one' }),
      'priorityGroup',
      'recreate-refused',
    ],
  ];
  for (const [what, topology, field, kind] of REFUSED)
    test(`refuses ${what}, says what to do, and has no step for it`, async () => {
      const plan = await planFor(topology, present());
      expect(plan.differences).toMatchObject([
        { kind, field, remedy: expect.stringMatching(/\w/) as string },
      ]);
      expect(plan.steps).toEqual([]);
    });

  const ALLOWED: readonly [string, Topology, string][] = [
    ['a larger size', withStream({ maxBytes: 200 * MIB }), 'maxBytes'],
    ['a smaller size that holds the content', withStream({ maxBytes: MIB }), 'maxBytes'],
    ['a shorter age that no entry is beyond', withStream({ maxAgeMs: 3 * DAY }), 'maxAgeMs'],
    ['no limit of age', withStream({ maxAgeMs: 0 }), 'maxAgeMs'],
    ['more subjects', withStream({ subjects: ['log.*', 'more.*'] }), 'subjects'],
    ['a refusal of deletes', withStream({ denyDelete: true }), 'denyDelete'],
    ['compression', withStream({ compression: 's2' }), 'compression'],
    ['a longer history', { ...declared, buckets: [{ ...bucket, history: 9 }] }, 'maxMessagesPerSubject'],
    ['another filter', withConsumer({ filterSubjects: ['log.a'] }), 'filterSubjects'],
    ['another ack wait', withConsumer({ ackWaitMs: 1000 }), 'ackWaitMs'],
  ];
  for (const [what, topology, field] of ALLOWED)
    test(`changes to ${what}, and nothing else`, async () => {
      const driver = present();
      const plan = await planFor(topology, driver);
      expect(plan.differences).toMatchObject([{ kind: 'update', field }]);
      expect(plan.steps).toHaveLength(1);
      expect((await applyPlan(driver, plan)).failed).toBeNull();
      expect((await planFor(topology, driver)).differences).toEqual([]);
      expect(driver.streams.get('LOG')?.entries).toHaveLength(3);
    });

  test('with a refused and an allowed change of one stream makes the allowed one only', async () => {
    const driver = present();
    const topology = withStream({ maxBytes: 200, description: 'New words.' });
    await applyPlan(driver, await planFor(topology, driver));
    expect(driver.streams.get('LOG')?.settings).toMatchObject({
      maxBytes: 100 * MIB,
      description: 'New words.',
    });
    expect((await planFor(topology, driver)).differences).toMatchObject([{ kind: 'destroy-refused' }]);
  });

  test('adds subjects and keeps those that it must not take away', async () => {
    const driver = present();
    const topology = withStream({ subjects: ['other.*'] });
    const plan = await planFor(topology, driver);
    expect(plan.differences.map(({ kind }) => kind)).toEqual(['update', 'destroy-refused']);
    await applyPlan(driver, plan);
    expect(driver.streams.get('LOG')?.settings.subjects).toEqual(['log.*', 'other.*']);
  });

  test('leaves alone and names what is not declared', async () => {
    const plan = await planFor({ ...declared, streams: [], consumers: [] }, present());
    expect(plan.differences).toMatchObject([
      { kind: 'unknown', what: 'LOG', reason: expect.stringContaining('3 entries') as string },
    ]);
    expect((await planFor({ ...declared, consumers: [] }, present())).differences).toMatchObject([
      { kind: 'unknown', thing: 'consumer', what: 'LOG/reader' },
    ]);
  });

  test('refuses a stream whose subjects another one takes, and the consumers on it', async () => {
    const driver = new MemoryTopology({
      nowMs: NOW,
      streams: [{ settings: streamSettings({ ...stream, name: 'OLD', subjects: ['log.>'] }), entries: [] }],
    });
    const plan = await planFor(declared, driver);
    expect(plan.differences.filter(({ kind }) => kind === 'refused')).toMatchObject([
      { what: 'LOG', reason: expect.stringContaining('OLD') as string },
      { what: 'LOG/reader' },
    ]);
    expect(plan.steps.map(({ label }) => label)).toEqual(['views']);
  });

  test('makes a consumer anew only while it has handed out nothing', async () => {
    const idle = present({ consumers: [{ settings: consumerSettings(consumer), delivered: 0 }] });
    const topology = withConsumer({ priorityGroup: 'one' });
    await applyPlan(idle, await planFor(topology, idle));
    expect(idle.calls).toEqual(['delete consumer LOG/reader', 'create consumer LOG/reader']);
    expect((await planFor(topology, idle)).differences).toEqual([]);
  });

  test('lets a consumer at work have its free changes although a fixed one is refused', async () => {
    const driver = present();
    const plan = await planFor(withConsumer({ priorityGroup: 'one', ackWaitMs: 1000 }), driver);
    expect((await applyPlan(driver, plan)).failed).toBeNull();
    expect(driver.consumers.get('LOG/reader')?.settings).toMatchObject({
      ackWaitMs: 1000,
      priorityGroup: null,
    });
  });

  const SERVERS: readonly [string, boolean][] = [
    ['2.13.9', false],
    ['2.9.10', false],
    ['1.99.0', false],
    ['', false],
    ['unknown', false],
    ['2.14.0', true],
    ['2.15.0-dev', true],
    ['v2.100.1', true],
    ['3.0.0', true],
  ];
  for (const [version, isNew] of SERVERS)
    test(`on nats-server ${version || '(no version)'} ${isNew ? 'goes ahead' : 'refuses everything'}`, async () => {
      const plan = await planFor(declared, new MemoryTopology({ nowMs: NOW, server: { version } }));
      expect(plan.steps.length > 0).toBe(isNew);
      if (!isNew)
        expect(plan.differences).toMatchObject([
          {
            kind: 'refused',
            thing: 'server',
            from: version,
            remedy: expect.stringContaining('2.14.0') as string,
          },
        ]);
    });
});

describe('storage', () => {
  const sized = (sizes: readonly number[]): Topology => ({
    ...declared,
    streams: sizes.map((maxBytes, index) => ({
      ...stream,
      name: `S${index}`,
      subjects: [`s${index}.*`],
      maxBytes,
    })),
    consumers: [],
  });
  const sizesFor = async (budget: number | undefined, server: Partial<ServerFacts> = {}) => {
    const driver = new MemoryTopology({ nowMs: NOW, server });
    const plan = await planFor(sized([400 * MIB, 100 * MIB]), driver, budget);
    return {
      warnings: plan.warnings,
      sizes: plan.retention.filter(({ thing }) => thing === 'stream').map(({ maxBytes }) => maxBytes / MIB),
    };
  };

  test('that suffices leaves the sizes as declared', async () => {
    expect(await sizesFor(undefined)).toEqual({ warnings: [], sizes: [400, 100] });
    expect(await sizesFor(1000 * MIB)).toEqual({ warnings: [], sizes: [400, 100] });
  });

  test('that does not suffice scales all sizes alike, keeps a quarter free, and says so', async () => {
    const { warnings, sizes } = await sizesFor(100 * MIB);
    expect(sizes).toEqual([60, 15]);
    expect(warnings).toEqual([expect.stringMatching(/scaled by 0\.150/)]);
  });

  test('that the broker limits counts as well, whichever is smaller', async () => {
    expect((await sizesFor(undefined, { storageLimitBytes: 100 * MIB })).sizes).toEqual([60, 15]);
    expect((await sizesFor(50 * MIB, { storageLimitBytes: 100 * MIB })).sizes).toEqual([30, 7]);
  });

  test('is never scaled to nothing', async () => {
    expect((await sizesFor(1)).sizes).toEqual([1, 1]);
  });
});

test('two filters overlap when one subject can match both', () => {
  const yes = [
    ['a.b', 'a.b'],
    ['a.*', 'a.b'],
    ['a.>', 'a.b.c'],
    ['>', 'a'],
    ['*.b', 'a.*'],
    ['a.*.c', 'a.b.*'],
    ['a.>', '*.b'],
  ] as const;
  const no = [
    ['a.b', 'a.c'],
    ['a', 'a.b'],
    ['a.>', 'a'],
    ['a.*', 'a.b.c'],
    ['a.>', 'b.>'],
  ] as const;
  for (const [a, b] of yes) expect([overlaps(a, b), overlaps(b, a)], `${a} ${b}`).toEqual([true, true]);
  for (const [a, b] of no) expect([overlaps(a, b), overlaps(b, a)], `${a} ${b}`).toEqual([false, false]);
});
