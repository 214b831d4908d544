// The order of a queue as it changes: what is told leads from what was known to what is, names nobody else, and never falls behind for good.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { orderFeed, type OrderNews } from '#services/gateway/order-feed.ts';
import { placeChanges } from '#services/gateway/order.policy.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const order = fc.uniqueArray(fc.constantFrom<string[]>('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'), {
  maxLength: 8,
});

test('HR-14 HR-15 changes lead from one order to the next, in both directions, and name only who has moved', () => {
  fc.assert(
    fc.property(order, order, (before, after) => {
      const changes = placeChanges(before, after);
      const places = new Map(before.map((taskId, at) => [taskId, at + 1]));
      for (const { taskId, from, to } of changes) {
        expect(from).toBe(places.get(taskId) ?? null);
        expect(to).not.toBe(from);
        if (to === null) places.delete(taskId);
        else places.set(taskId, to);
      }
      expect([...places].toSorted(([, a], [, b]) => a - b).map(([taskId]) => taskId)).toEqual(after);
    }),
    propertyRuns(300),
  );
});

test('a feed begins with the present order, tells what comes close together in one event, and nothing when nobody has moved', async () => {
  const clock = createManualClock();
  const ending = new AbortController();
  const listeners = new Set<() => void>();
  let now: readonly string[] = ['a', 'b'];
  const become = (next: readonly string[]): void => {
    now = next;
    for (const listener of listeners) listener();
  };
  const told: OrderNews[] = [];
  const feed = orderFeed({
    queue: 'fix',
    read: () => ({ order: now, seq: 1 }),
    subscribe: (onChange) => {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    },
    clock,
    signal: ending.signal,
  });
  const reading = (async () => {
    for await (const news of feed) told.push(news);
  })();
  await clock.settle();
  const first = {
    queue: 'fix',
    seq: 1,
    changes: [
      { taskId: 'a', from: null, to: 1 },
      { taskId: 'b', from: null, to: 2 },
    ],
  };
  expect(told.splice(0)).toEqual([first]);
  become(['c', 'a', 'b']);
  become(['c', 'b']);
  await clock.advance(100);
  expect(told.splice(0).map(({ changes }) => changes)).toEqual([
    [
      { taskId: 'c', from: null, to: 1 },
      { taskId: 'a', from: 1, to: null },
    ],
  ]);
  become(['c', 'b']);
  await clock.advance(60_000);
  expect(told).toEqual([]);
  become([]);
  await clock.advance(100);
  expect(told.splice(0)[0]?.changes.map(({ to }) => to)).toEqual([null, null]);
  ending.abort();
  await clock.settle();
  await reading;
  expect(listeners.size).toBe(0);
});
