// Rebuilding a projection beside its live bucket, and proving it against the log.
import { afterEach, describe, expect, test } from 'vitest';
import { encodePosition, POSITION_KEY } from '#libs/projections/position.ts';
import { rebuildProjection, type RebuildProgress, type RebuildOptions } from '#libs/projections/rebuild.ts';
import { verifyProjection } from '#libs/projections/verify.ts';
import { projectionHarness, stopProjections } from '#test/support/projection-harness.ts';
import { type Added, appendAdded, type Tally, tallyProjection } from '#test/support/tally.ts';

afterEach(stopProjections);

const setup = () => {
  const harness = projectionHarness();
  const { log, kv, scratch, clock, ids, projection } = harness;
  const rebuild = (options: Partial<RebuildOptions<Added, Tally>> = {}) =>
    rebuildProjection<Added, Tally>({ projection, log, live: kv, scratch, clock, ids, ...options });
  return { ...harness, rebuild };
};

describe('a rebuild', () => {
  test('repairs what is wrong, deletes what should not be there, and leaves alone what is right', async () => {
    const { clock, add, start, rebuild, tamper, kv, content, verify, scratch } = setup();
    start();
    for (const [at, key] of ['a', 'b', 'c', 'a'].entries()) await add(key, at + 1);
    await clock.settle();
    const untouched = await kv.get('c');
    await tamper('a', { seq: 4, sum: 999, count: 2, trail: 'wrong' });
    await tamper('ghost', { seq: 1, sum: 1, count: 1, trail: '' });
    await kv.delete('b');
    const report = await rebuild();
    expect(report).toEqual({ seq: 4, keys: 3, written: 2, deleted: 1 });
    expect(await verify()).toEqual({ equal: true, keys: 3, seq: 4 });
    expect((await kv.get('c'))?.revision).toBe(untouched?.revision);
    expect(await content(scratch)).toEqual({});
  });

  test('lets the live projection go on at once, and loses nothing that came meanwhile', async () => {
    const { clock, add, start, rebuild, verify, kinds } = setup();
    const live = start();
    for (let at = 0; at < 50; at += 1) await add(`k${at % 7}`, at + 1);
    await clock.settle();
    const progress: RebuildProgress['kind'][] = [];
    const rebuilding = rebuild({ onProgress: ({ kind }) => progress.push(kind) });
    for (let at = 0; at < 50; at += 1) await add(`k${at % 7}`, at + 1);
    await rebuilding;
    await add('k1', 1000);
    await clock.settle();
    expect(live.state()).toBe('active');
    expect(kinds()).toContain('standby');
    expect(progress).toEqual(['folded', 'folded', 'folded', 'fenced', 'switched']);
    expect(await verify()).toEqual({ equal: true, keys: 7, seq: 101 });
  });

  test('happens by itself when a newer version starts with a scratch bucket', async () => {
    const { clock, add, start, scratch, content } = setup();
    const old = start();
    for (const key of ['a', 'b', 'a']) await add(key, 1);
    await clock.settle();
    const projection = tallyProjection({ stream: 'LOG', bucket: 'tally', version: 2, factor: 10 });
    const next = start({ projection, scratch });
    await clock.settle();
    expect(next.state()).toBe('rebuilding');
    await clock.advance(10_000);
    await add('a', 1);
    await clock.settle();
    expect([old.state(), next.state()]).toEqual(['standby', 'active']);
    expect(await content()).toEqual({
      a: { seq: 4, sum: 30, count: 3, trail: '10;10;10;' },
      b: { seq: 2, sum: 10, count: 1, trail: '10;' },
    });
  });

  test('happens by itself when the log is shorter than the position', async () => {
    const { clock, add, start, scratch, kv, verify } = setup();
    await add('a', 1);
    const longer = { seq: 90, projection: 'tally', version: 1, owner: 'before' };
    await kv.put(POSITION_KEY, encodePosition(longer));
    await kv.put('gone', new TextEncoder().encode('{"seq":80,"sum":1,"count":1,"trail":"1;"}'));
    const running = start({ scratch });
    await clock.settle();
    expect(running.state()).toBe('active');
    expect(await verify()).toEqual({ equal: true, keys: 1, seq: 1 });
  });

  test('that fails hands the bucket back, and the live projection goes on', async () => {
    const { clock, add, start, rebuild, kv, scratch, verify } = setup();
    const live = start();
    await add('a', 1);
    await clock.settle();
    const failing = rebuild({
      live: { ...kv, keys: () => scratch.keys('no filter at all') },
    });
    await expect(failing).rejects.toMatchObject({ code: 'KV_REFUSED' });
    await add('a', 2);
    await clock.settle();
    expect(live.state()).toBe('active');
    expect(await verify()).toEqual({ equal: true, keys: 1, seq: 2 });
  });

  test('is asked for when a newer version starts without a scratch bucket', async () => {
    const { clock, add, start, fatal } = setup();
    const old = start();
    await add('a', 1);
    await clock.settle();
    await old.stop();
    await start({ projection: tallyProjection({ stream: 'LOG', bucket: 'tally', version: 2 }) }).finished;
    expect(fatal).toEqual([expect.objectContaining({ code: 'PROJECTION_REBUILD_NEEDED' })]);
  });

  test('that crashed while it switched lets the live projection go on when its mark has run out', async () => {
    const { clock, add, start, kv, verify, position } = setup();
    const live = start();
    await add('a', 1);
    await clock.settle();
    const stood = await position();
    const mark = { by: 'rebuild-dead', untilMs: clock.now() + 30_000 };
    await kv.put(POSITION_KEY, encodePosition({ ...stood, owner: 'rebuild-dead', rebuild: mark }));
    await add('a', 2);
    await clock.advance(29_000);
    expect(live.state()).toBe('standby');
    await clock.advance(10_000);
    expect(live.state()).toBe('active');
    expect(await verify()).toEqual({ equal: true, keys: 1, seq: 2 });
  });

  test('is refused while another one holds the mark, and when the head of the log is gone', async () => {
    const { clock, broker, add, rebuild, kv } = setup();
    await add('a', 1);
    const mark = { by: 'rebuild-other', untilMs: clock.now() + 30_000 };
    await kv.put(
      POSITION_KEY,
      encodePosition({ seq: 1, projection: 'tally', version: 1, owner: 'rebuild-other', rebuild: mark }),
    );
    await expect(rebuild()).rejects.toMatchObject({ code: 'REBUILD_RUNNING', retry: 'later' });
    broker.declareStream({ name: 'SHORT', subjects: ['SHORT.>'], maxAgeMs: 1000 });
    const log = broker.eventLog('SHORT');
    for (const id of ['x1', 'x2']) {
      await log.append({ subject: 'SHORT.a', id, headers: {}, body: new Uint8Array() });
      await clock.advance(800);
    }
    await expect(rebuild({ log })).rejects.toMatchObject({ code: 'REBUILD_HISTORY_GONE' });
    await clock.advance(30_000);
    const forgetful = {
      ...tallyProjection({ stream: 'SHORT', bucket: 'tally' }),
      history: 'what-is-left',
    } as const;
    expect(await rebuild({ log, projection: forgetful })).toMatchObject({ keys: 0 });
  });
});

describe('a verification', () => {
  test('names the first key that differs, and both values', async () => {
    const { clock, add, start, tamper, verify } = setup();
    start();
    for (const key of ['a', 'b', 'c']) await add(key, 1);
    await clock.settle();
    await tamper('c', { seq: 3, sum: 7, count: 1, trail: '1;' });
    await tamper('b', { seq: 2, sum: 5, count: 1, trail: '1;' });
    expect(await verify()).toEqual({
      equal: false,
      key: 'b',
      expected: { seq: 2, state: { sum: 1, count: 1, trail: '1;' } },
      actual: { seq: 2, state: { sum: 5, count: 1, trail: '1;' } },
      seq: 3,
    });
  });

  test('sees a key that is missing, one that is too many, and one that cannot be read', async () => {
    const { clock, add, start, tamper, verify, kv } = setup();
    start();
    await add('b', 1);
    await clock.settle();
    await kv.delete('b');
    expect(await verify()).toMatchObject({ equal: false, key: 'b', actual: undefined });
    await tamper('b', { seq: 1, sum: 1, count: 1, trail: '1;' });
    expect(await verify()).toMatchObject({ equal: true });
    await tamper('a', { seq: 1, sum: 1, count: 1, trail: '1;' });
    expect(await verify()).toMatchObject({ equal: false, key: 'a', expected: undefined });
    await tamper('a', 'nonsense');
    expect(await verify()).toMatchObject({
      equal: false,
      key: 'a',
      actual: { unreadable: expect.any(String) },
    });
  });

  test('says that the log is shorter than what was folded from it', async () => {
    const { clock, add, start, tamper, verify } = setup();
    const running = start();
    await add('a', 1);
    await clock.settle();
    await running.stop();
    await tamper(POSITION_KEY, { seq: 9, projection: 'tally', version: 1, owner: '' });
    await expect(verify()).rejects.toMatchObject({
      code: 'VERIFY_LOG_SHORTER',
      retry: 'never',
      detail: { lastSeq: 1, position: 9 },
    });
  });

  test('says that it cannot tell when the head of the log is gone', async () => {
    const { clock, broker, start, kv } = setup();
    broker.declareStream({ name: 'SHORT', subjects: ['SHORT.>'], maxAgeMs: 1000 });
    const log = broker.eventLog('SHORT');
    const projection = tallyProjection({ stream: 'SHORT', bucket: 'tally' });
    start({ log, projection });
    for (let at = 0; at < 3; at += 1) {
      await appendAdded(log, { key: 'a', add: 1 });
      await clock.advance(600);
    }
    await expect(verifyProjection({ projection, log, kv })).rejects.toMatchObject({
      code: 'VERIFY_HISTORY_GONE',
    });
  });

  test('does not mind the order of fields, nor keys that are ahead of the position', async () => {
    const { clock, add, start, tamper, verify, kv, position } = setup();
    const running = start();
    await add('a', 1);
    await clock.settle();
    const behind = await position();
    await add('a', 2);
    await add('b', 2);
    await clock.settle();
    await running.stop();
    await kv.put(POSITION_KEY, encodePosition(behind));
    await tamper('a', { trail: '1;2;', count: 2, sum: 3, seq: 2 });
    expect(await verify()).toEqual({ equal: true, keys: 2, seq: 1 });
  });
});
