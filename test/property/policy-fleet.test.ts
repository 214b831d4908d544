// The lifecycle service in memory under one printed seed, two instances of it: whatever happens, no agent runs twice unless its host was
// told to end the first, none that is wanted is missing in the end, and none that is not wanted runs. FLEETLOG_LIVES sets how many lives.
import { expect, test } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { simulatePolicies } from '#test/support/policy-simulation.ts';
import { manySeeds } from '#test/support/seeds.ts';

const lives = Number(readEnvironment()['FLEETLOG_LIVES'] ?? 40);

test('WK-64 WK-65 WK-72 two instances, hosts and a broker that fail: no double start, none missing', async () => {
  for (const seed of manySeeds(2))
    expect([seed, (await simulatePolicies(seed, 'whole')).faults]).toEqual([seed, []]);
}, 120_000);

test('WK-64 WK-65 WK-72 many short lives keep all laws', async () => {
  // Named by their seed: FLEETLOG_SEED lives it again.
  for (const seed of manySeeds(lives))
    expect([seed, (await simulatePolicies(seed, 'short')).faults]).toEqual([seed, []]);
}, 3_600_000);

test('a seed that is lived again is the same life', async () => {
  const [one, again] = [await simulatePolicies(7, 'short'), await simulatePolicies(7, 'short')];
  expect(again.record).toEqual(one.record);
}, 60_000);
