// `npm run bench [-- <name…>] [options]`: runs the benchmarks one after another. Each figure is a
// line of JSON on standard output, and a table of all of them closes on standard error. A missed target is a fact (`met: false`),
// not a failure: the exit code is 0 unless a benchmark breaks.
import { parseArgs } from 'node:util';
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import { appendsBench } from './appends.ts';
import { batchesBench } from './batches.ts';
import type { Bench, BenchContext } from './bench-world.ts';
import { drainBench } from './drain.ts';
import { earlierBench } from './earlier.ts';
import { type Figure, figureLine, figureTable } from './figure.ts';
import { hostsBench } from './hosts.ts';
import { manyPoliciesBench, policiesBench } from './policies.ts';
import { outboxBench } from './outbox.ts';
import { projectionBench } from './projection.ts';
import { footprintBench } from './footprint.ts';
import { publisherBench } from './publisher.ts';
import { readsBench } from './reads.ts';
import { replayBench } from './replay.ts';
import { restartBench } from './restart.ts';
import { runsBench } from './runs.ts';
import { runnersBench } from './runners.ts';
import { takeoverBench } from './takeover.ts';
import { turnsBench } from './turns.ts';
import { visibilityBench } from './visibility.ts';

const BENCHES: readonly Bench[] = [
  publisherBench,
  batchesBench,
  appendsBench,
  projectionBench,
  replayBench,
  visibilityBench,
  footprintBench,
  readsBench,
  outboxBench,
  drainBench,
  turnsBench,
  runnersBench,
  hostsBench,
  policiesBench,
  manyPoliciesBench,
  runsBench,
  restartBench,
  earlierBench,
  takeoverBench,
];
const PROFILES: readonly SyncProfile[] = ['always', 'relaxed'];
const MIN_ROUNDS = 5;
const EARLIER = 10_000;

const HELP = `npm run bench [-- <name…>] [--profile always|relaxed] [--rounds <n>] [--earlier <n>] [--store <dir>]

Measures our code beside bare client code in the same run. One line of JSON a figure on standard output,
progress and a table on standard error. A missed target is "met": false, not a failed run.

  --profile  one durability profile instead of both
  --rounds   measured rounds of each side, from ${MIN_ROUNDS} (default: 7)
  --earlier  runs that the store of the bench of that name has seen (default: ${EARLIER})
  --store    directory that keeps that store, to go on filling it and to measure it again (default: thrown away)

benchmarks: ${BENCHES.map(({ name }) => name).join(', ')}
What each measures, and how to read a figure: test/bench/README.md
`;

const fail = (message: string): never => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

const parsed = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        profile: { type: 'string' },
        rounds: { type: 'string' },
        earlier: { type: 'string' },
        store: { type: 'string' },
        // A line of JSON a figure is what it prints anyway; the option says so.
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
  }
};

const readArguments = (): {
  readonly benches: readonly Bench[];
  readonly profiles: readonly SyncProfile[];
} & Pick<BenchContext, 'rounds' | 'earlier' | 'store'> => {
  const { values, positionals } = parsed();
  if (values.help === true) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const unknown = positionals.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined)
    fail(`there is no benchmark ${unknown}; there are ${BENCHES.map(({ name }) => name).join(', ')}`);
  const profiles = PROFILES.filter((profile) => values.profile === undefined || values.profile === profile);
  if (profiles.length === 0) fail(`there is no profile ${values.profile}; there are ${PROFILES.join(', ')}`);
  const rounds = Number(values.rounds ?? 7);
  if (!Number.isInteger(rounds) || rounds < MIN_ROUNDS) fail(`--rounds is a whole number from ${MIN_ROUNDS}`);
  const earlier = Number(values.earlier ?? EARLIER);
  if (!Number.isInteger(earlier) || earlier < 0) fail('--earlier is a whole number');
  const benches = BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  return { benches, profiles, rounds, earlier, store: values.store };
};

const main = async (): Promise<void> => {
  const { benches, profiles, ...given } = readArguments();
  const figures: Figure[] = [];
  const emit = (figure: Figure): void => {
    figures.push(figure);
    process.stdout.write(`${figureLine(figure)}\n`);
  };
  for (const bench of benches)
    for (const profile of profiles) {
      process.stderr.write(`${bench.name} (${profile})…\n`);
      await bench.run({ profile, ...given, emit });
    }
  process.stderr.write(`\n${figureTable(figures)}\n`);
};

await main();
