// Whether a store that holds much is slower than one that holds little: whole lives of runs (as in runs.ts) in a store that has seen `--earlier` runs before,
// each in a session of its own, against the same in a new one, by turns. Both are filled by the product itself: nothing in them is made up.
// With `--store` the filled one is kept in that directory and found again, so that a large one is filled once, in as many goes as it takes.
import { dispatch } from '#services/dispatch/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision } from '#test/support/control-plane.ts';
import type { Bench, BenchContext } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { openRunLives, type RunLives } from './life-of-runs.ts';
import { interleave, rate } from './measure.ts';
import { cpuWith } from './runs.ts';

const SERVICES = [runs, sessions, tasks, dispatch];
const WIDTH = 256;
/** Few, so that the new store stays one: after eight rounds it has seen 4,100. */
const RUNS_A_ROUND = 500;
const FIRST_RUNS = 100;
/** Told on standard error after so many. */
const FILL_STEP = 5000;
const SAME_RATE: Target = { of: 'ratio', is: '>=', limit: 0.9 };
const SAME_CPU: Target = { of: 'ratio', is: '<=', limit: 1.1 };

interface Store extends AsyncDisposable {
  readonly broker: FreshBroker;
  readonly lives: RunLives;
}

const openStore = async (profile: BenchContext['profile'], dataDir: string | undefined): Promise<Store> => {
  const broker = await freshBroker({ sync: profile, ...(dataDir !== undefined && { dataDir }) });
  await provision(broker);
  const lives = await openRunLives(broker, SERVICES);
  return {
    broker,
    lives,
    [Symbol.asyncDispose]: async () => {
      await lives[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
    },
  };
};

/** Runs that it shows; its bucket also has a key for its place in the log. */
const shownRuns = async ({ lives }: Store): Promise<number> =>
  Math.max(0, (await lives.plane.ports.log('KV_runs').bounds()).entries - 1);

/** Lives as many runs as it lacks. Gives how many it has then. */
const fill = async (store: Store, count: number): Promise<number> => {
  const startedMs = performance.now();
  let held = await shownRuns(store);
  while (held < count) {
    await store.lives.live(Math.min(FILL_STEP, count - held), WIDTH);
    held = await shownRuns(store);
    process.stderr.write(
      `  ${held} runs in the store, ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`,
    );
  }
  return held;
};

const compare = async ({ profile, rounds, earlier, store, emit }: BenchContext): Promise<void> => {
  await using full = await openStore(profile, store);
  const held = await fill(full, earlier);
  await using fresh = await openStore(profile, undefined);
  await fill(fresh, FIRST_RUNS);
  const cpu = { ours: [] as number[], floor: [] as number[] };
  const measured = async ({ broker, lives }: Store, into: number[]): Promise<number> => {
    const others = [broker.broker.pid(), lives.runnerPid];
    const before = cpuWith(others);
    const aSecond = await rate(RUNS_A_ROUND, () => lives.live(RUNS_A_ROUND, WIDTH));
    into.push((cpuWith(others) - before) / RUNS_A_ROUND);
    return aSecond;
  };
  const pairs = await interleave(
    rounds,
    () => measured(full, cpu.ours),
    () => measured(fresh, cpu.floor),
  );
  const named = { bench: 'earlier', profile } as const;
  const after = `after ${held.toLocaleString('en')} runs in as many sessions`;
  emit(fromPairs({ ...named, figure: `whole lives ${after}`, unit: 'entries/s', target: SAME_RATE }, pairs));
  // Without the rounds that warmed up.
  const counted = { ours: cpu.ours.slice(-rounds), floor: cpu.floor.slice(-rounds) };
  emit(
    fromPairs({ ...named, figure: `processor time a run ${after}`, unit: 'ms', target: SAME_CPU }, counted),
  );
};

export const earlierBench: Bench = { name: 'earlier', run: compare };
