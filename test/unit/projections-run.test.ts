// A running projection on the memory broker: what is in its bucket after whatever happens on the way.
import { afterEach, describe, expect, test } from 'vitest';
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { parkPoison } from '#libs/projections/run-projection.ts';
import { readDeadLetter } from '#test/support/read-letter.ts';
import { projectionHarness, stopProjections } from '#test/support/projection-harness.ts';
import { appendAdded, bytes, jsonBytes, jsonOf } from '#test/support/tally.ts';

afterEach(stopProjections);

describe('a projection', () => {
  test('folds what is there and what comes, as JSON that carries its sequence', async () => {
    const { clock, add, start, content, kv, position } = projectionHarness();
    await add('a', 1);
    start();
    await clock.settle();
    await add('a', 2);
    await add('b', 5);
    await clock.settle();
    expect(await content()).toEqual({
      a: { seq: 2, sum: 3, count: 2, trail: '1;2;' },
      b: { seq: 3, sum: 5, count: 1, trail: '5;' },
    });
    const entry = await kv.get('a');
    expect(entry && Object.keys(jsonOf(entry.value) as object)[0]).toBe('seq');
    expect(await position()).toMatchObject({ seq: 3, projection: 'tally', version: 1 });
  });

  test('writes a key once per batch, however many entries changed it', async () => {
    const { clock, add, start, kv, events } = projectionHarness();
    for (let at = 1; at <= 300; at += 1) await add(`k${at % 3}`, at);
    start();
    await clock.advance(1000);
    const batches = events.filter((event) => event.kind === 'batch');
    expect(batches.reduce((sum, { entries }) => sum + entries, 0)).toBe(300);
    const writes = batches.reduce((sum, { keys }) => sum + keys, 0);
    expect(writes).toBeLessThanOrEqual(3 * batches.length);
    const last = await kv.get('k0');
    expect(last?.revision).toBeLessThanOrEqual(writes + batches.length + 2);
  });

  test('gathers in a rush, so that a key that changes again at once is written once, and shows the rest at once', async () => {
    const { clock, add, start, events, content } = projectionHarness();
    const changeAll = async (): Promise<void> => {
      for (let at = 0; at < 64; at += 1) await add(`k${at}`, 1);
    };
    const written = (): number =>
      events.reduce((sum, event) => sum + (event.kind === 'batch' ? event.keys : 0), 0);
    await changeAll();
    start({ limits: { gatherMs: 100, burstEntries: 32 } });
    await clock.settle();
    expect(written(), 'the first batch is a rush').toBe(64);
    // What comes within the time of one gathering, in several turns, is one write a key.
    for (let turn = 0; turn < 4; turn += 1) {
      await changeAll();
      await clock.advance(10);
    }
    await clock.advance(100);
    expect(written()).toBe(2 * 64);
    expect((await content())['k0']).toMatchObject({ count: 5 });
    // The rush is over: one change is shown without any wait.
    await clock.advance(1000);
    await add('k0', 1);
    await clock.settle();
    expect((await content())['k0']).toMatchObject({ count: 6 });
  });

  test('steps that follow one another are written together with one position, the first of them at once', async () => {
    const { clock, add, start, events, content, position } = projectionHarness();
    start({ limits: { paceMs: 15, positionMs: 15 } });
    await clock.advance(100);
    const written = (kind: string): number => events.filter((event) => event.kind === kind).length;
    const [batches, positions] = [written('batch'), written('position')];
    await add('a', 1);
    await clock.settle();
    expect((await content())['a']).toMatchObject({ count: 1 });
    expect(written('position')).toBe(positions);
    for (const key of ['a', 'b', 'a']) {
      await add(key, 1);
      await clock.advance(3);
    }
    expect((await content())['b']).toBeUndefined();
    await clock.advance(40);
    expect(await content()).toMatchObject({ a: { count: 3 }, b: { count: 1 } });
    expect(await position()).toMatchObject({ seq: 4 });
    expect(written('batch')).toBe(batches + 2);
    expect(written('position')).toBeLessThanOrEqual(positions + 2);
  });

  test('a key that begins is not looked for, and one that is there all the same is folded onto', async () => {
    const { clock, kv, projection, add, content, start, fatal } = projectionHarness();
    const asked: string[] = [];
    const counting = Object.create(kv, {
      getMany: {
        value: (keys: readonly string[]) => {
          asked.push(...keys);
          return kv.getMany(keys);
        },
      },
    }) as KeyValue;
    await add('old', 1);
    const first = start();
    await clock.settle();
    await first.stop();
    const running = start({ kv: counting, projection: { ...projection, begins: () => true } });
    await clock.settle();
    await add('new', 1);
    await add('old', 1);
    await clock.settle();
    expect(asked).toEqual([]);
    expect(await content()).toMatchObject({ new: { count: 1 }, old: { count: 2 } });
    await running.stop();
    expect(fatal).toEqual([]);
  });

  test('a rush that fills a batch does not wait for the rest of its time', async () => {
    const { clock, add, start, content } = projectionHarness();
    for (let at = 0; at < 64; at += 1) await add('a', 1);
    start({ limits: { gatherMs: 60_000, burstEntries: 8, maxBatch: 16 } });
    await clock.settle();
    expect(await content()).toMatchObject({ a: { count: 64 } });
  });

  test('moves its position past entries that change nothing', async () => {
    const { clock, log, add, start, content, position } = projectionHarness();
    await add('a', 1);
    await appendAdded(log, { add: 7 });
    await add('a', 0);
    const running = start();
    await clock.settle();
    expect(await content()).toEqual({ a: { seq: 1, sum: 1, count: 1, trail: '1;' } });
    expect(await position()).toMatchObject({ seq: 3 });
    expect(running.position()).toBe(3);
    await running.reached(3);
  });

  test('goes on where it stopped, and folds nothing twice', async () => {
    const { clock, add, start, content, verify } = projectionHarness();
    for (let round = 1; round <= 5; round += 1) {
      const running = start();
      await add('a', round);
      await add(`b${round}`, round);
      await clock.settle();
      await running.stop();
      expect(running.state()).toBe('stopped');
    }
    expect(await content()).toMatchObject({ a: { count: 5, trail: '1;2;3;4;5;' } });
    expect(await verify()).toEqual({ equal: true, keys: 6, seq: 10 });
  });

  test('starts over from the log when the position is gone, and skips what the keys have seen', async () => {
    const { clock, add, start, content, kv, POSITION_KEY } = projectionHarness();
    for (const n of [1, 2, 3]) await add('a', n);
    const first = start();
    await clock.settle();
    await first.stop();
    const before = await kv.get('a');
    await kv.delete(POSITION_KEY);
    start();
    await clock.settle();
    expect((await kv.get('a'))?.revision).toBe(before?.revision);
    expect(await content()).toEqual({ a: { seq: 3, sum: 6, count: 3, trail: '1;2;3;' } });
  });

  test('waits out a broker that is away, and loses nothing', async () => {
    const { clock, broker, add, start, content, verify, fatal } = projectionHarness();
    start();
    await add('a', 1);
    await clock.settle();
    await add('a', 2);
    broker.faults.goAway();
    await clock.advance(600_000);
    broker.faults.comeBack();
    await clock.advance(10_000);
    await add('a', 3);
    await clock.settle();
    expect(await content()).toMatchObject({ a: { count: 3, trail: '1;2;3;' } });
    expect(await verify()).toMatchObject({ equal: true });
    expect(fatal).toEqual([]);
  });

  test('adopts a write of its own whose answer was lost', async () => {
    const { clock, broker, add, start, verify, content } = projectionHarness();
    start();
    await clock.settle();
    broker.faults.plan({ loseWriteAck: (nth) => nth % 2 === 1 && nth < 30 });
    for (let at = 1; at <= 20; at += 1) {
      await add(`k${at % 2}`, at);
      await clock.advance(500);
    }
    await clock.advance(20_000);
    expect(await content()).toMatchObject({ k0: { count: 10 }, k1: { count: 10 } });
    expect(await verify()).toMatchObject({ equal: true });
  });

  test('reports poison, skips it and goes on; its position passes only when the evidence is stored', async () => {
    const { clock, log, add, start, content, position, poisons } = projectionHarness();
    let isStoreAway = true;
    start({
      onPoison: async (poison) => {
        if (isStoreAway) throw new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'away' });
        poisons.push(poison);
      },
    });
    await add('a', 1);
    await clock.settle();
    await log.append({ subject: 'LOG.a', id: 'bad', headers: {}, body: bytes('{"key"') });
    await add('a', 'boom');
    await add('a', 2);
    await clock.advance(10_000);
    expect(await position()).toMatchObject({ seq: 1 });
    isStoreAway = false;
    await clock.advance(10_000);
    expect(await content()).toEqual({ a: { seq: 4, sum: 3, count: 2, trail: '1;2;' } });
    expect(poisons.map(({ stage, entry }) => [stage, entry.seq])).toEqual([
      ['decode', 2],
      ['fold', 3],
    ]);
    expect(await position()).toMatchObject({ seq: 4 });
  });

  test('parks poison as a dead letter, once over restarts', async () => {
    const { clock, broker, log, start, kv, POSITION_KEY } = projectionHarness();
    broker.declareStream({ name: 'DEAD', subjects: ['dead.>'] });
    const dead = broker.eventLog('DEAD');
    const deadLetters = createDeadLetters({
      log: dead,
      build: ({ service, reason }) => ({ subject: `dead.${service}.${reason}`, headers: {} }),
    });
    const onPoison = parkPoison(deadLetters, { projection: 'tally', stream: 'LOG', service: 'tests', clock });
    await log.append({ subject: 'LOG.a', id: 'bad', headers: {}, body: bytes('nonsense') });
    for (let round = 0; round < 2; round += 1) {
      const running = start({ onPoison });
      await clock.settle();
      await running.stop();
      await kv.delete(POSITION_KEY);
    }
    const letters = [];
    for await (const entry of dead.replay()) letters.push(readDeadLetter(entry));
    expect(letters).toEqual([expect.objectContaining({ reason: 'undecodable', stream: 'LOG', seq: 1 })]);
  });

  test('folds a key again from the log when its value was edited or deleted by hand', async () => {
    const { clock, add, start, content, tamper, kv, kinds } = projectionHarness();
    const running = start();
    for (const key of ['a', 'b', 'c', 'd']) await add(key, 1);
    await clock.settle();
    await tamper('a', 'not an object');
    await tamper('b', { seq: 1, sum: 'x' });
    await kv.delete('c');
    for (const key of ['a', 'b', 'c']) await add(key, 2);
    await clock.settle();
    expect(await content()).toEqual({
      a: { seq: 5, sum: 3, count: 2, trail: '1;2;' },
      b: { seq: 6, sum: 3, count: 2, trail: '1;2;' },
      c: { seq: 7, sum: 3, count: 2, trail: '1;2;' },
      d: { seq: 4, sum: 1, count: 1, trail: '1;' },
    });
    await running.stop();
    await tamper('d', 'nonsense');
    start();
    await add('d', 2);
    await clock.settle();
    expect(await content()).toMatchObject({ d: { seq: 8, count: 2 } });
    expect(kinds()).toContain('healed');
  });

  test('keeps few states in memory and reads the others when they are needed', async () => {
    const { clock, add, start, verify, content } = projectionHarness();
    start({ limits: { maxBatch: 4, hotKeys: 1 } });
    for (let at = 0; at < 400; at += 1) await add(`k${at % 40}`, at + 1);
    await clock.settle();
    expect(Object.keys(await content())).toHaveLength(40);
    expect(await verify()).toEqual({ equal: true, keys: 40, seq: 400 });
  });

  test('reports an event whose key cannot be one, and goes on', async () => {
    const { clock, log, start, content, poisons } = projectionHarness();
    start();
    for (const key of ['a:b', '_position', 'a..b', 'good'])
      await log.append({ subject: 'LOG.x', id: key, headers: {}, body: jsonBytes({ key, add: 1 }) });
    await clock.settle();
    expect(poisons.map(({ entry, stage }) => [entry.seq, stage])).toEqual([
      [1, 'decode'],
      [2, 'decode'],
      [3, 'decode'],
    ]);
    expect(await content()).toEqual({ good: { seq: 4, sum: 1, count: 1, trail: '1;' } });
  });

  test('is fatal when its bucket is missing, or the log ends before its position', async () => {
    const { clock, broker, add, start, kv, fatal, position } = projectionHarness();
    const lost = start({ kv: broker.keyValue('nowhere') });
    await lost.finished;
    expect(lost.state()).toBe('failed');
    await add('a', 1);
    const first = start();
    await clock.settle();
    await first.stop();
    const stood = await position();
    await kv.put('_position', bytes(JSON.stringify({ ...stood, seq: 99 })));
    await start().finished;
    expect(fatal).toEqual([
      expect.objectContaining({ code: 'KV_MISSING' }),
      expect.objectContaining({ code: 'PROJECTION_AHEAD' }),
    ]);
  });

  test('stops while the broker is away, and leaves no timer behind', async () => {
    const { clock, broker, add, start } = projectionHarness();
    const running = start();
    await clock.settle();
    await add('a', 1);
    broker.faults.goAway();
    await clock.advance(1000);
    await running.stop();
    expect(running.state()).toBe('stopped');
    expect(clock.pendingTimers()).toBe(0);
  });
});
