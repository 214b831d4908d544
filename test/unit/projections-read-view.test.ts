// The in-memory read model of a projection: reads, waiting for one's own writes, bounds.
import { afterEach, describe, expect, test } from 'vitest';
import { createReadView, type ReadView, type ReadViewOptions } from '#libs/projections/read-view.ts';
import { projectionHarness, stopProjections } from '#test/support/projection-harness.ts';
import type { Tally } from '#test/support/tally.ts';

const views: ReadView<Tally>[] = [];

afterEach(async () => {
  await Promise.all(views.splice(0).map((view) => view.stop()));
  await stopProjections();
});

const setup = () => {
  const harness = projectionHarness();
  const { projection, kv, clock, fatal } = harness;
  const open = (options: Partial<ReadViewOptions<Tally>> = {}): ReadView<Tally> => {
    const view = createReadView<Tally>({
      projection,
      kv,
      clock,
      onFatal: (error) => fatal.push(error),
      ...options,
    });
    views.push(view);
    return view;
  };
  return { ...harness, open };
};

describe('a read view', () => {
  test('holds what is there and follows what comes', async () => {
    const { clock, add, start, open } = setup();
    start();
    await add('a', 1);
    await clock.settle();
    const view = open();
    await view.ready;
    expect(view.get('a')).toEqual({ seq: 1, state: { sum: 1, count: 1, trail: '1;' } });
    await add('b', 2);
    await clock.settle();
    expect([...view.list((key) => key === 'b')]).toEqual([
      ['b', { seq: 2, state: { sum: 2, count: 1, trail: '2;' } }],
    ]);
    expect(view.size).toBe(2);
    expect(view.position()).toBe(2);
    expect(view.get('_position')).toBeUndefined();
  });

  test('shows a writer its own write', async () => {
    const { clock, add, start, open } = setup();
    start();
    const view = open();
    const seq = await add('a', 1);
    await view.waitFor(seq, { timeoutMs: 1000 });
    expect(view.get('a')?.state.sum).toBe(1);
    await view.waitFor(await add('a', 2), { key: 'a', timeoutMs: 1000 });
    expect(view.get('a')?.state.sum).toBe(3);
    await view.waitFor(await add('a', 0), { key: 'a', timeoutMs: 1000 });
    await clock.settle();
    expect(clock.pendingTimers(), 'waits leave no timer but that of the idle projection').toBe(1);
  });

  test('says that it is behind when the write does not come in time', async () => {
    const { clock, add, open } = setup();
    const view = open();
    const waiting = view.waitFor(await add('a', 1), { timeoutMs: 1000 });
    const refused = expect(waiting).rejects.toMatchObject({ code: 'VIEW_BEHIND', retry: 'later' });
    await clock.advance(1000);
    await refused;
  });

  test('tells listeners of changes and of deletions', async () => {
    const { clock, add, start, open, kv } = setup();
    start();
    const view = open();
    await clock.settle();
    const told: [string, number | undefined][] = [];
    const end = view.subscribe((key, value) => told.push([key, value?.state.sum]));
    await add('a', 1);
    await clock.settle();
    await kv.delete('a');
    await clock.settle();
    end();
    await add('b', 1);
    await clock.settle();
    expect(told).toEqual([
      ['a', 1],
      ['a', undefined],
    ]);
    expect(view.get('a')).toBeUndefined();
  });

  test('reads a value that is not one as absent, and says so once', async () => {
    const { clock, tamper, open } = setup();
    const invalid: string[] = [];
    await tamper('a', { seq: 1, sum: 'x' });
    const view = open({ onInvalid: (key) => invalid.push(key) });
    await clock.settle();
    expect(view.get('a')).toBeUndefined();
    expect([...view.list()]).toEqual([]);
    expect(invalid).toEqual(['a']);
  });

  test('refuses to serve when there are more keys than it may hold', async () => {
    const { clock, tamper, open, fatal } = setup();
    for (const key of ['a', 'b', 'c']) await tamper(key, { seq: 1, sum: 1, count: 1, trail: '' });
    const view = open({ maxKeys: 2 });
    await clock.settle();
    await expect(view.ready).rejects.toMatchObject({ code: 'VIEW_TOO_LARGE' });
    expect(() => view.get('a')).toThrow('more than 2 keys');
    expect(fatal).toHaveLength(1);
  });

  test('is made anew after a failure, and serves again when what was wrong has been put right', async () => {
    const { clock, tamper, kv, open, fatal } = setup();
    for (const key of ['a', 'b', 'c']) await tamper(key, { seq: 1, sum: 1, count: 1, trail: '' });
    const recovered: number[] = [];
    const view = open({ maxKeys: 2, onRecovered: () => recovered.push(clock.now()) });
    await clock.settle();
    expect(() => view.get('a')).toThrow('more than 2 keys');
    // Nobody has helped yet: it says so again, ever more rarely.
    for (let second = 0; second < 600; second += 1) await clock.advance(1000);
    expect(fatal.length).toBeGreaterThan(3);
    expect(fatal.length).toBeLessThan(12);
    expect(recovered).toEqual([]);
    await kv.delete('c');
    for (let second = 0; second < 300; second += 1) await clock.advance(1000);
    expect(recovered).toHaveLength(1);
    expect(view.get('a')?.state.count).toBe(1);
    expect(view.size).toBe(2);
  });

  test('is fatal when its bucket is missing, and waits for a broker that is away', async () => {
    const { clock, broker, add, start, open, fatal } = setup();
    open({ kv: broker.keyValue('nowhere') });
    await clock.settle();
    expect(fatal).toEqual([expect.objectContaining({ code: 'KV_MISSING' })]);
    broker.faults.goAway();
    const view = open();
    await clock.advance(60_000);
    broker.faults.comeBack();
    start();
    await add('a', 1);
    await clock.settle();
    expect(view.get('a')?.seq).toBe(1);
  });
});
