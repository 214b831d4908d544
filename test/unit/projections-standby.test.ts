// Several instances of one projection: one owns the bucket, the fence tells the others, and somebody always goes on.
import { afterEach, describe, expect, test } from 'vitest';
import { encodePosition, POSITION_KEY } from '#libs/projections/position.ts';
import { projectionHarness, stopProjections } from '#test/support/projection-harness.ts';
import { tallyProjection } from '#test/support/tally.ts';

afterEach(stopProjections);

describe('two instances of a projection', () => {
  test('agree on one owner: the later one, and the earlier stands by', async () => {
    const { clock, add, start, verify } = projectionHarness();
    const first = start();
    await add('a', 1);
    await clock.settle();
    const second = start();
    await clock.settle();
    await add('a', 2);
    await clock.settle();
    expect([first.state(), second.state()]).toEqual(['standby', 'active']);
    expect(await verify()).toMatchObject({ equal: true, seq: 2 });
  });

  test('started at the same time fold everything once', async () => {
    const { clock, add, start, verify, content } = projectionHarness();
    for (let at = 1; at <= 50; at += 1) await add(`k${at % 5}`, at);
    const both = [start(), start()];
    await clock.advance(10_000);
    for (let at = 51; at <= 100; at += 1) await add(`k${at % 5}`, at);
    await clock.advance(10_000);
    expect(both.map((instance) => instance.state()).sort()).toEqual(['active', 'standby']);
    expect(await content()).toMatchObject({ k0: { count: 20 } });
    expect(await verify()).toEqual({ equal: true, keys: 5, seq: 100 });
  });

  test('hand over at once when the owner stops', async () => {
    const { clock, add, start, content } = projectionHarness();
    const heir = start();
    await clock.settle();
    const owner = start();
    await add('a', 1);
    await clock.settle();
    expect(heir.state()).toBe('standby');
    await owner.stop();
    await add('a', 2);
    await clock.settle();
    expect(heir.state()).toBe('active');
    expect(await content()).toMatchObject({ a: { count: 2, trail: '1;2;' } });
  });

  test('hand over after one wait when the owner dies, however late the position that it left was seen', async () => {
    const { clock, add, start, position, kv } = projectionHarness();
    const heir = start();
    await add('a', 1);
    await clock.settle();
    const owner = { ...(await position()), owner: 'another' };
    await kv.put(POSITION_KEY, encodePosition(owner));
    await add('a', 2);
    await clock.advance(100);
    expect(heir.state()).toBe('standby');
    await kv.put(POSITION_KEY, encodePosition(owner));
    await clock.advance(3001);
    expect(heir.state()).toBe('active');
  });

  test('hand over when the owner is gone without a word and entries wait', async () => {
    const { clock, add, start, content, position, kv } = projectionHarness();
    const heir = start();
    await add('a', 1);
    await clock.settle();
    const left = await position();
    await kv.put(POSITION_KEY, encodePosition({ ...left, owner: 'dead' }));
    await clock.advance(15_000);
    expect(heir.state()).toBe('standby');
    await add('a', 2);
    await clock.advance(5000);
    expect(heir.state()).toBe('active');
    expect(await content()).toMatchObject({ a: { count: 2, trail: '1;2;' } });
  });

  test('leave an owner alone that has nothing to do', async () => {
    const { clock, add, start } = projectionHarness();
    const heir = start();
    await clock.settle();
    const owner = start();
    await add('a', 1);
    await clock.settle();
    await clock.advance(3_600_000);
    expect([owner.state(), heir.state()]).toEqual(['active', 'standby']);
  });

  test('an idle owner notices that it was fenced', async () => {
    const { clock, add, start } = projectionHarness();
    const owner = start();
    await add('a', 1);
    await clock.settle();
    const next = start();
    await clock.advance(15_000);
    expect([owner.state(), next.state()]).toEqual(['standby', 'active']);
  });

  test('of different versions: the older one stands by for good', async () => {
    const { clock, log, kv, add, start, content, kinds } = projectionHarness();
    const newer = start({ projection: tallyProjection({ stream: 'LOG', bucket: 'tally', version: 2 }) });
    await add('a', 1);
    await clock.settle();
    await newer.stop();
    const older = start({
      projection: tallyProjection({ stream: 'LOG', bucket: 'tally', version: 1 }),
      log,
      kv,
    });
    await add('a', 2);
    await clock.advance(60_000);
    expect(older.state()).toBe('standby');
    expect(kinds()).toContain('standby');
    expect(await content()).toMatchObject({ a: { count: 1 } });
  });
});
