// The whole fleet in memory under one printed seed: runs, tasks, dispatch, sessions. Whatever happens: every task and run ends, a task is completed
// at most once, fences have one holder, what has ended absorbs, questions are settled once, nobody is instructed twice, no limit is exceeded, nobody
// overtakes an equal, no run is held by nobody for long, a key gives its first answer, and the summaries are the fold of the record.
import { expect, test } from 'vitest';
import type { Ports } from '#libs/service/context.ts';
import { manySeeds, simulationSeeds } from '#test/support/seeds.ts';
import { withForgetfulSummaries, withoutExpiry } from '#test/support/spoiled-ports.ts';
import { simulateTasks } from '#test/support/task-simulation.ts';

for (const seed of simulationSeeds())
  test(`WK-30 WK-31 WK-32 WK-58 every task ends, and all laws hold (seed ${seed})`, async () => {
    expect((await simulateTasks(seed, 'whole')).faults).toEqual([]);
  }, 60_000);

test('WK-30 WK-31 WK-32 WK-58 many short lives keep all laws', async () => {
  // Named by their seed: FLEETLOG_SEED lives it again.
  for (const seed of manySeeds(20))
    expect([seed, (await simulateTasks(seed, 'short')).faults]).toEqual([seed, []]);
}, 120_000);

test('a seed that is lived again is the same life', async () => {
  const [one, again] = [await simulateTasks(7, 'whole'), await simulateTasks(7, 'whole')];
  expect(again.record).toEqual(one.record);
}, 60_000);

/** What was broken in the lives up to the first one in which something of the kind was. */
const faultsUpTo = async (kind: RegExp, spoil: (ports: Ports) => Ports): Promise<string> => {
  const all: string[] = [];
  for (let seed = 1; seed <= 20 && !kind.test(all.join()); seed += 1) {
    // A fleet that stands still is caught, too: it can be the first thing that is noticed.
    const { faults } = await simulateTasks(seed, 'whole', { spoil }).catch((error: unknown) => ({
      faults: [String(error)],
    }));
    all.push(...faults);
  }
  return all.join();
};

test.each([
  ['the summary of a task forgets who had its attempts', withForgetfulSummaries, /not the fold/],
  ['nobody notices that a lease is over', withoutExpiry, /held by nobody/],
])(
  'WK-58 WK-55 a planted defect is caught: %s',
  async (_, spoil, kind) => {
    expect(await faultsUpTo(kind, spoil)).toMatch(kind);
  },
  120_000,
);

test('a life that is told says what was done to the fleet, with the time of the world', async () => {
  const steps: string[] = [];
  await simulateTasks(3, 'short', { onStep: (step) => steps.push(step) });
  expect(steps.length).toBeGreaterThan(5);
  expect(steps.join('\n')).toMatch(/^ +\d+\.\d{3} .*(dies|away|killed|stopped|jumps|forgets)/m);
  expect(steps.join('\n')).toMatch(/task\.created/);
}, 60_000);
