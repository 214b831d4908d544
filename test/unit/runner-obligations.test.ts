// The local snapshot of what an agent owes: always readable, never blocking, pushed and refreshed, kept over a restart.
import { describe, expect, test } from 'vitest';
import type { Outbox } from '#libs/outbox/outbox.ts';
import { systemClock } from '#libs/system/clock.ts';
import { createObligations, type ObligationObservation } from '#services/runner/obligations/obligations.ts';
import type { OwedReply, OwedValue } from '#services/runner/obligations/obligation-snapshot.policy.ts';
import {
  idsOf,
  obligationWorld,
  owes,
  startedWorld,
  value,
  type ObligationWorld,
} from '#test/support/obligation-world.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';

const getRig = useOutboxRig();

const setUp = (outbox?: Outbox): ObligationWorld => obligationWorld(getRig(), outbox);
const started = (first: OwedValue, outbox?: Outbox): Promise<ObligationWorld> =>
  startedWorld(getRig(), first, outbox);

describe('a read', () => {
  test('RO-02 WK-14 before the first refresh says that nothing is known, and not that nothing is owed', () => {
    const { obligations, fetches } = setUp();
    expect(obligations.current()).toEqual({
      ready: false,
      stale: true,
      revision: 0,
      refreshedAt: 0,
      owed: [],
    });
    expect(fetches.count()).toBe(0);
  });

  test('RO-01 RO-02 touches nothing but memory: it serves while a fetch hangs, after a failure and after the stop', async () => {
    const world = await started(value(1, 'msg_a'));
    const { obligations, fetches } = world;
    void obligations.refresh();
    expect(idsOf(world)).toEqual(['msg_a']);
    await fetches.fail('away');
    expect(idsOf(world)).toEqual(['msg_a']);
    obligations.stop();
    expect(idsOf(world)).toEqual(['msg_a']);
    expect(fetches.count()).toBe(2);
  });

  test('RO-02 gives a value that nobody can change, and that does not change by itself', async () => {
    const { obligations } = await started(value(1, 'msg_a'));
    const read = obligations.current();
    expect(() => (read.owed as OwedReply[]).push(owes('msg_x'))).toThrow(TypeError);
    expect(() => Object.assign(read.owed[0] ?? {}, { from: 'x' })).toThrow(TypeError);
    obligations.take(value(2, 'msg_a', 'msg_b'));
    expect(read.owed).toHaveLength(1);
    expect(obligations.current().owed).toHaveLength(2);
    obligations.stop();
  });

  test('RO-01 takes less than a microsecond, with 1,000 obligations', async () => {
    const ids = Array.from({ length: 1000 }, (_, at) => `msg_${at}`);
    const { obligations } = await started(value(1, ...ids));
    const rounds = 200_000;
    let owed = 0;
    const startedMs = systemClock.monotonicMs();
    for (let round = 0; round < rounds; round++) owed += obligations.current().owed.length;
    const microseconds = ((systemClock.monotonicMs() - startedMs) * 1000) / rounds;
    obligations.stop();
    expect(owed).toBe(rounds * 1000);
    expect(microseconds).toBeLessThan(1);
  });
});

describe('refreshing', () => {
  test('RO-03 ND-07 starts once, fetches at once and then every 10 s, and never after the stop', async () => {
    const { clock } = getRig();
    const { obligations, fetches } = setUp();
    obligations.start();
    obligations.start();
    expect(fetches.count()).toBe(1);
    await fetches.answer(value(1));
    await clock.advance(9_999);
    expect(fetches.count()).toBe(1);
    await clock.advance(1);
    expect(fetches.count()).toBe(2);
    await fetches.answer(value(1));
    await clock.advance(10_000);
    expect(fetches.count()).toBe(3);
    obligations.stop();
    obligations.start();
    await clock.advance(60_000);
    expect(fetches.count()).toBe(3);
  });

  test('RO-03 does nothing when it is started after the stop', () => {
    const { obligations, fetches } = setUp();
    obligations.stop();
    obligations.start();
    expect(fetches.count()).toBe(0);
  });

  test('RO-04 shares the fetch under way, never rejects, and after the stop returns at once', async () => {
    const { obligations, fetches } = await started(value(1));
    const both = Promise.all([obligations.refresh(), obligations.refresh()]);
    expect(fetches.count()).toBe(2);
    await fetches.fail('away');
    await both;
    obligations.stop();
    await obligations.refresh();
    expect(fetches.count()).toBe(2);
  });

  test('RO-04 RO-06 a fetch that throws, or never answers, is a failure and no obstacle', async () => {
    const { clock } = getRig();
    const seen: ObligationObservation[] = [];
    let fetched = 0;
    const obligations = createObligations({
      fetch: () => {
        fetched += 1;
        if (fetched === 1) throw new Error('broken');
        return new Promise(() => undefined);
      },
      outbox: getRig().start(),
      clock,
      observe: (one) => void seen.push(one),
    });
    obligations.start();
    await clock.advance(10_000);
    await clock.advance(5000);
    expect(seen.map(({ kind }) => kind)).toEqual(['refresh-failed', 'refresh-failed']);
    await clock.advance(5000);
    expect(fetched).toBe(3);
    obligations.stop();
    await clock.advance(5000);
  });

  test('RO-05 replaces all of it, and says when; nothing projected is nothing owed', async () => {
    const { clock } = getRig();
    const world = await started(value(1, 'msg_a', 'msg_b'));
    await clock.advance(10_000);
    await world.fetches.answer(value(2, 'msg_c'));
    expect(idsOf(world)).toEqual(['msg_c']);
    expect(world.obligations.current()).toMatchObject({
      ready: true,
      stale: false,
      revision: 20,
      refreshedAt: clock.now(),
    });
    world.obligations.stop();
    const other = await started({ seq: 0, revision: 0, owed: [] }, getRig().start({ name: 'other' }));
    expect(other.obligations.current()).toMatchObject({ ready: true, owed: [] });
    other.obligations.stop();
  });

  test('RO-05 RO-12 discards what arrives after the stop', async () => {
    const world = await started(value(1, 'msg_a'));
    const before = world.obligations.current();
    const refreshing = world.obligations.refresh();
    world.obligations.stop();
    await world.fetches.answer(value(2));
    await refreshing;
    world.obligations.take(value(3));
    world.obligations.replied({ messageId: 'msg_a', replyId: 'msg_r', seq: null });
    world.obligations.takenBack('msg_r');
    expect(world.obligations.current()).toBe(before);
  });

  test('RO-06 serves the old snapshot and its time after a failure, and says how much of it', async () => {
    const { clock } = getRig();
    const world = await started(value(1, 'msg_a'));
    const { refreshedAt } = world.obligations.current();
    await clock.advance(10_000);
    await world.fetches.fail('the broker is away');
    expect(world.obligations.current()).toMatchObject({
      ready: true,
      stale: true,
      refreshedAt,
      owed: [{ messageId: 'msg_a' }],
    });
    expect(world.seen.at(-1)).toEqual({ kind: 'refresh-failed', message: 'the broker is away', served: 1 });
    world.obligations.stop();
  });

  test('RO-12 leaves no timer behind when it is stopped', async () => {
    const { obligations } = await started(value(1));
    obligations.markDirty();
    expect(getRig().clock.pendingTimers()).toBeGreaterThan(0);
    obligations.stop();
    expect(getRig().clock.pendingTimers()).toBe(0);
  });
});

describe('a mark', () => {
  test('RO-07 ND-07 fetches 400 ms after the first, and later ones do not put it off', async () => {
    const { clock } = getRig();
    const { obligations, fetches } = await started(value(1));
    obligations.markDirty();
    await clock.advance(300);
    obligations.markDirty();
    await clock.advance(99);
    expect(fetches.count()).toBe(1);
    await clock.advance(1);
    expect(fetches.count()).toBe(2);
    await fetches.answer(value(1));
    await clock.advance(400);
    expect(fetches.count()).toBe(2);
    obligations.markDirty();
    await clock.advance(400);
    expect(fetches.count()).toBe(3);
    obligations.stop();
    obligations.markDirty();
    await clock.advance(400);
    expect(fetches.count()).toBe(3);
  });

  test('RO-04 RO-07 WK-13 that comes while a fetch is under way is not satisfied by that older fetch', async () => {
    const { clock } = getRig();
    const world = await started(value(1, 'msg_a'));
    void world.obligations.refresh();
    world.obligations.markDirty();
    await clock.advance(400);
    expect(world.fetches.count()).toBe(2);
    await world.fetches.answer(value(1, 'msg_a'));
    expect(world.fetches.count()).toBe(3);
    await world.fetches.answer(value(2));
    expect(idsOf(world)).toEqual([]);
    world.obligations.stop();
  });
});

describe('a value that is pushed', () => {
  test('WK-13 is seen at once, without a fetch', async () => {
    const world = await started(value(1));
    world.obligations.take(value(2, 'msg_new'));
    expect(idsOf(world)).toEqual(['msg_new']);
    expect(world.fetches.count()).toBe(1);
    world.obligations.stop();
  });

  test('WK-13 is not undone by an older one that is pushed or fetched late', async () => {
    const world = await started(value(1));
    void world.obligations.refresh();
    world.obligations.take(value(5, 'msg_new'));
    await world.fetches.answer(value(4));
    world.obligations.take(value(3));
    expect(idsOf(world)).toEqual(['msg_new']);
    world.obligations.stop();
  });

  test('gives way to an older one that two fetches in a row have found: the bucket was made anew', async () => {
    const { clock } = getRig();
    const world = await started(value(50, 'msg_of_before'));
    await clock.advance(10_000);
    await world.fetches.answer(value(2, 'msg_now'));
    expect(idsOf(world)).toEqual(['msg_of_before']);
    await clock.advance(10_000);
    await world.fetches.answer(value(2, 'msg_now'));
    expect(idsOf(world)).toEqual(['msg_now']);
    world.obligations.stop();
  });
});
