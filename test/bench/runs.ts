// What the whole store costs: lives of runs from the request to the bucket that shows their end, 256 at once, against bare code that makes the same
// appends and puts to another broker; their processor time, the broker's included; and how long a task waits for an idle runner.
import { connect } from '@nats-io/transport-node';
import { dispatch } from '#services/dispatch/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { boundYoungGeneration } from '#libs/system/young-generation.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision } from '#test/support/control-plane.ts';
import { createBareRuns } from './bare-runs.ts';
import type { Bench, BenchContext } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { handOvers } from './hand-overs.ts';
import { openRunLives, type RunLives } from './life-of-runs.ts';
import { interleave, rate } from './measure.ts';
import { cpuMs } from './policy-world.ts';

const WIDTH = 256;
/** Four widths: of a round of two, most was its beginning and its end, where fewer are at once. */
const RUNS_A_ROUND = 1000;
const RATE: Target = { of: 'ratio', is: '>=', limit: 0.6 };
const CPU: Target = { of: 'value', is: '<=', limit: 0.35 };

/** Processor time of this process and the others that take part, ms. That of others comes in ticks of 10 ms. */
export const cpuWith = (others: readonly (number | undefined)[]): number => {
  const { user, system } = process.cpuUsage();
  return others.reduce<number>((sum, pid) => sum + cpuMs(pid ?? Number.NaN), (user + system) / 1000);
};

const wholeLives = async (
  broker: FreshBroker,
  lives: RunLives,
  { profile, rounds, emit }: BenchContext,
): Promise<void> => {
  // Streams of its own: on ours, the services would read what the floor writes, and park each entry of it as a dead letter.
  await using bareBroker = await freshBroker({ sync: profile });
  await provision(bareBroker);
  const { url: servers, user, password: pass } = bareBroker;
  const nc = await connect({ servers, user, pass, name: 'bench-bare' });
  const bare = createBareRuns(nc, profile);
  const cpu = { ours: [] as number[], floor: [] as number[] };
  const measured = async (
    into: number[],
    others: readonly (number | undefined)[],
    live: (count: number) => Promise<void>,
  ): Promise<number> => {
    const before = cpuWith(others);
    const aSecond = await rate(RUNS_A_ROUND, () => live(RUNS_A_ROUND));
    into.push((cpuWith(others) - before) / RUNS_A_ROUND);
    return aSecond;
  };
  const pairs = await interleave(
    rounds,
    () => measured(cpu.ours, [broker.broker.pid(), lives.runnerPid], (count) => lives.live(count, WIDTH)),
    () => measured(cpu.floor, [bareBroker.broker.pid()], (count) => bare.live(count)),
  );
  await nc.close();
  const named = { bench: 'runs', profile } as const;
  emit(
    fromPairs({ ...named, figure: `whole lives, ${WIDTH} at once`, unit: 'entries/s', target: RATE }, pairs),
  );
  // Without the rounds that warmed up.
  const [ours, floor] = [cpu.ours.slice(-rounds), cpu.floor.slice(-rounds)];
  emit(
    fromPairs(
      { ...named, figure: 'processor time a run, all processes', unit: 'ms', target: CPU },
      { ours, floor },
    ),
  );
};

export const runsBench: Bench = {
  name: 'runs',
  run: async (context) => {
    // As the product's processes do: left alone, the engine takes four times as much and collects less often.
    boundYoungGeneration();
    await using broker = await freshBroker({ sync: context.profile });
    await provision(broker);
    await using lives = await openRunLives(broker, [runs, sessions, tasks, dispatch]);
    await wholeLives(broker, lives, context);
    await handOvers(lives, context);
  },
};
