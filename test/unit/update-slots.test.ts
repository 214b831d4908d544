// How many agents are started anew for an update at once (LC-21): slots on a bucket in memory, with holders whose records are histories.
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createUpdateSlots } from '#services/lifecycle/update-slots.ts';
import type { PolicyState } from '#services/lifecycle/policy-state.policy.ts';
import {
  applied,
  backoff,
  given,
  restartAsked,
  running,
  spawnA,
  spawnB,
  starting,
  stopped,
  stopping,
} from '#test/support/policy-history.ts';
import { BOUNDARY } from '#test/support/control-plane.ts';

const pending = [
  applied(),
  starting(),
  running(),
  restartAsked({ cause: 'restart-on-update', idleMs: 60_000 }),
];
const leaving = [...pending, stopping({ isRestart: true, cause: 'restart-on-update' })];
const back = [...leaving, stopped(), starting({ spawnId: spawnB }), running({ spawnId: spawnB })];

const rig = (count: number) => {
  const clock = createManualClock();
  const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
  broker.declareBucket({ name: 'leases', markerTtlMs: 60_000 });
  const states = new Map<string, PolicyState>();
  const slots = () =>
    createUpdateSlots({
      leases: broker.keyValue('leases'),
      load: ({ policy }) => Promise.resolve(states.get(policy)),
      clock,
      count,
    });
  const take = (policy: string, by = slots()) => by.take({ boundary: BOUNDARY, policy }, spawnA);
  return { clock, states, slots, take };
};

test('LC-21 WK-62 no more than so many are started anew at once, whichever instance asks', async () => {
  const { states, take, slots } = rig(2);
  const names = Array.from({ length: 6 }, (_none, at) => `p${at}`);
  for (const name of names) states.set(name, given(...leaving).state);
  const asked = await Promise.all(names.map((name) => take(name, slots())));
  expect(asked.filter(Boolean)).toHaveLength(2);
  const holders = names.filter((_name, at) => asked[at]);
  // Asked again, also of another instance: the same ones.
  for (const name of names) expect(await take(name)).toBe(holders.includes(name));
});

test('LC-21 a slot is free when its agent runs again, and not while it is down', async () => {
  const { states, take } = rig(1);
  states.set('a', given(...leaving).state);
  expect(await take('a')).toBe(true);
  for (const on of [leaving, [...leaving, stopped()], [...leaving, stopped(), starting(), backoff()]]) {
    states.set('a', given(...on).state);
    expect(await take('b')).toBe(false);
  }
  states.set('a', given(...back).state);
  expect(await take('b')).toBe(true);
  states.set('b', given(...leaving).state);
  expect(await take('a')).toBe(false);
});

test('LC-21 a slot whose holder never began, or never came back, is free after a time', async () => {
  const { states, take, clock } = rig(1);
  states.set('a', given(...pending).state);
  expect(await take('a')).toBe(true);
  await clock.advance(29_000);
  expect(await take('b')).toBe(false);
  await clock.advance(1000);
  expect(await take('b')).toBe(true);
  states.set('b', given(...leaving).state);
  await clock.advance(599_000);
  expect(await take('c')).toBe(false);
  await clock.advance(2000);
  expect(await take('c')).toBe(true);
});
