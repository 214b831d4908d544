// The whole fleet in memory under one printed seed: tasks, dispatch and runs. Whatever happens: every task ends, is completed at most once,
// no limit is exceeded, nobody overtakes an equal, no run goes on without its task, and the summaries are the fold of the record.
import { expect, test } from 'vitest';
import { manySeeds, simulationSeeds } from '#test/support/seeds.ts';
import { SHORT_LIFE, simulateTasks, WHOLE_LIFE } from '#test/support/task-simulation.ts';

for (const seed of simulationSeeds())
  test(`WK-30 WK-31 WK-32 WK-58 every task ends, and all laws hold (seed ${seed})`, async () => {
    expect((await simulateTasks(seed, WHOLE_LIFE)).faults).toEqual([]);
  }, 60_000);

test('WK-30 WK-31 WK-32 WK-58 many short lives keep all laws', async () => {
  // Named by their seed: FLEETLOG_SEED lives it again.
  for (const seed of manySeeds(60))
    expect([seed, (await simulateTasks(seed, SHORT_LIFE)).faults]).toEqual([seed, []]);
}, 120_000);

test('a seed that is lived again is the same life', async () => {
  const [one, again] = [await simulateTasks(7, WHOLE_LIFE), await simulateTasks(7, WHOLE_LIFE)];
  expect(again.record).toEqual(one.record);
}, 60_000);
