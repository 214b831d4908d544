// `npm run simulate [-- --seeds <n>] [--from <seed>] [--workers <n>] [--whole]`: lives many lives of a fleet in memory, each under a seed of
// its own, and names the seeds whose laws were broken. `npm run simulate -- --seed <seed> [--whole]` lives one of them again and tells it step by
// step: what was done to the fleet, and every transition as it was stored. The exit code is 1 when a law was broken.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '#libs/system/clock.ts';
import { SHORT_LIFE, simulateTasks, WHOLE_LIFE } from '#test/support/task-simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    workers: { type: 'string', default: String(availableParallelism()) },
    whole: { type: 'boolean', default: false },
    /** Of a worker: lives these and says what was wrong. */
    share: { type: 'string' },
  },
});

const whole = (name: 'seeds' | 'from' | 'seed' | 'workers'): number => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= 0) return value;
  process.stderr.write(`--${name} is a whole number, not ${values[name]}\n`);
  return process.exit(2);
};

// Whoever reads it has seen enough (`| head`).
process.stdout.on('error', () => process.exit(1));

const size = values.whole ? WHOLE_LIFE : SHORT_LIFE;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Verdict {
  readonly seed: number;
  readonly faults: readonly string[];
}

/** One life, told. */
const retell = async (seed: number): Promise<boolean> => {
  const { faults } = await simulateTasks(seed, size, { onStep: say });
  say(faults.length === 0 ? `seed ${seed}: all laws hold` : `seed ${seed}:`);
  for (const fault of faults) say(`  ${fault}`);
  return faults.length === 0;
};

const liveShare = async (share: string): Promise<void> => {
  const [from = 0, to = 0, step = 1] = share.split(',').map(Number);
  for (let seed = from; seed < to; seed += step) {
    const verdict: Verdict = await simulateTasks(seed, size).then(
      ({ faults }) => ({ seed, faults }),
      (error: unknown) => ({ seed, faults: [String(error)] }),
    );
    process.send?.(verdict);
  }
  process.disconnect();
};

/** Many lives, by several processes. */
const liveMany = async (): Promise<boolean> => {
  const [from, count, workers] = [whole('from'), whole('seeds'), Math.max(1, whole('workers'))];
  const startedMs = systemClock.monotonicMs();
  let [lived, broken] = [0, 0];
  const note = ({ seed, faults }: Verdict): void => {
    lived += 1;
    if (faults.length === 0) return;
    broken += 1;
    say(`seed ${seed}: ${faults.join('; ')}`);
    say(`  step by step: npm run simulate -- --seed ${seed}${values.whole ? ' --whole' : ''}`);
  };
  const shares = Array.from({ length: workers }, (_, at) => {
    const parameters = [
      '--share',
      `${from + at},${from + count},${workers}`,
      ...(values.whole ? ['--whole'] : []),
    ];
    const child = fork(import.meta.filename, parameters);
    child.on('message', (message) => note(message as Verdict));
    return new Promise<number | null>((resolve) => child.once('exit', resolve));
  });
  const codes = await Promise.all(shares);
  const aMinute = Math.round((lived * 60_000) / (systemClock.monotonicMs() - startedMs));
  say(`${lived} lives, ${broken} with broken laws; ${aMinute} a minute`);
  return broken === 0 && lived === count && codes.every((code) => code === 0);
};

if (values.share !== undefined) await liveShare(values.share);
else {
  const isGood = values.seed === undefined ? await liveMany() : await retell(whole('seed'));
  process.exitCode = isGood ? 0 : 1;
}
