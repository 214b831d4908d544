// `npm run simulate [-- --of <simulation>] [--seeds <n>] [--from <seed>] [--workers <n>] [--whole] [--reach]`: lives many lives of a fleet in memory, each
// under a seed of its own, names the seeds whose laws were broken, and says how far the lives got. `npm run simulate -- --seed <seed>` lives one of
// them again and tells it step by step: what was done to the fleet, and every transition as it was stored. The exit code is 1 when a law was broken.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '#libs/system/clock.ts';
import { policySimulation } from '#test/support/policy-simulation.ts';
import { Reach, type ReachCounts } from '#test/support/reach.ts';
import type { Simulation, Size } from '#test/support/simulation.ts';
import { taskSimulation } from '#test/support/task-simulation.ts';

const SIMULATIONS: Readonly<Record<string, Simulation>> = {
  tasks: taskSimulation,
  policies: policySimulation,
};

const HELP = `npm run simulate [-- --of <simulation>] [--seeds <n>] [--from <seed>] [--workers <n>] [--whole] [--reach]
npm run simulate -- [--of <simulation>] [--whole] --seed <seed>

Lives many lives of a fleet in memory, each under a seed of its own, and names the seeds whose laws were broken (exit code 1).
With --seed it lives one of them again and tells it step by step.

  --of       ${Object.keys(SIMULATIONS).join(' or ')} (default: tasks)
  --seeds    how many lives (default: 1000)
  --from     the first seed (default: 1)
  --workers  processes that live them (default: one a processor)
  --whole    longer lives
  --reach    say everything that was reached, and not only the most frequent
How they work, and how to write one: test/simulation/README.md
`;

const fail = (why: string): never => {
  process.stderr.write(`${why}\n`);
  return process.exit(2);
};

const parsed = () => {
  try {
    return parseArgs({
      options: {
        of: { type: 'string', default: 'tasks' },
        seeds: { type: 'string', default: '1000' },
        from: { type: 'string', default: '1' },
        seed: { type: 'string' },
        workers: { type: 'string', default: String(availableParallelism()) },
        whole: { type: 'boolean', default: false },
        /** Says everything that was reached, and not only the most frequent. */
        reach: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        /** Of a worker: lives these and says what was wrong. */
        share: { type: 'string' },
      },
    });
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
  }
};

const { values } = parsed();
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

const number = (name: 'seeds' | 'from' | 'seed' | 'workers'): number => {
  const value = Number(values[name]);
  return Number.isInteger(value) && value >= 0
    ? value
    : fail(`--${name} is a whole number, not ${values[name]}`);
};
const simulation =
  SIMULATIONS[values.of] ?? fail(`--of is one of ${Object.keys(SIMULATIONS).join(', ')}, not ${values.of}`);
const size: Size = values.whole ? 'whole' : 'short';
/** What makes another run of this program the same. */
const same = ['--of', values.of, ...(values.whole ? ['--whole'] : [])];

// Whoever reads it has seen enough (`| head`).
process.stdout.on('error', () => process.exit(1));
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Of each kind of what was reached. */
const MOST_TOLD = 14;

/** A worker's word. */
type Word =
  | { readonly kind: 'lived'; readonly seed: number; readonly faults: readonly string[] }
  | { readonly kind: 'reached'; readonly reach: ReachCounts; readonly processorMs: number };

/** One life, told. */
const retell = async (seed: number): Promise<boolean> => {
  const { faults } = await simulation.live(seed, size, { onStep: say });
  say(faults.length === 0 ? `seed ${seed}: all laws hold` : `seed ${seed}:`);
  for (const fault of faults) say(`  ${fault}`);
  return faults.length === 0;
};

const liveShare = async (share: string): Promise<void> => {
  // Lives are full of faults, and nobody looks where they were made.
  Error.stackTraceLimit = 0;
  const [from = 0, to = 0, step = 1] = share.split(',').map(Number);
  const reach = new Reach();
  const send = (word: Word): void => void process.send?.(word);
  for (let seed = from; seed < to; seed += step) {
    try {
      const lived = await simulation.live(seed, size);
      reach.add(lived.reach);
      send({ kind: 'lived', seed, faults: lived.faults });
    } catch (error) {
      send({ kind: 'lived', seed, faults: [String(error)] });
    }
  }
  const { user, system } = process.cpuUsage();
  send({ kind: 'reached', reach: reach.counts(), processorMs: (user + system) / 1000 });
  process.disconnect();
};

/** Many lives, by several processes. */
const liveMany = async (): Promise<boolean> => {
  const [from, count, workers] = [number('from'), number('seeds'), Math.max(1, number('workers'))];
  const startedMs = systemClock.monotonicMs();
  const reach = new Reach();
  let [lived, broken, processorMs] = [0, 0, 0];
  const note = (word: Word): void => {
    if (word.kind === 'reached') {
      processorMs += word.processorMs;
      return reach.add(word.reach);
    }
    lived += 1;
    if (word.faults.length === 0) return;
    broken += 1;
    say(`seed ${word.seed}: ${word.faults.join('; ')}`);
    say(`  step by step: npm run simulate -- ${same.join(' ')} --seed ${word.seed}`);
  };
  const shares = Array.from({ length: workers }, (_, at) => {
    const child = fork(import.meta.filename, [...same, '--share', `${from + at},${from + count},${workers}`]);
    child.on('message', (message) => note(message as Word));
    return new Promise<number | null>((resolve) => child.once('exit', resolve));
  });
  const codes = await Promise.all(shares);
  const tookMs = systemClock.monotonicMs() - startedMs;
  for (const line of reach.lines(simulation.wanted, values.reach ? undefined : MOST_TOLD)) say(line);
  const each = `${Math.round((lived * 60_000) / tookMs)} a minute, ${Math.round(processorMs / Math.max(1, lived))} ms of processor each`;
  say(`${lived} lives, ${broken} with broken laws; ${each}`);
  return broken === 0 && lived === count && codes.every((code) => code === 0);
};

if (values.share !== undefined) await liveShare(values.share);
else {
  const isGood = values.seed === undefined ? await liveMany() : await retell(number('seed'));
  process.exitCode = isGood ? 0 : 1;
}
