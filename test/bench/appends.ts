// Decisions of aggregates: appends at the expected sequence, one aggregate after another and 64 at once. The floors carry the same
// headers and expectations: single requests, a ring with one message of each subject in flight, and a loop that commits in groups.
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { systemIds } from '#libs/system/ids.ts';
import { makeId } from '#streams/ids.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { bareAppend, bareHeaders, createGroupLoop, createRing, type Ring } from './bare-publish.ts';
import { openBenchWorld, type Bench, type BenchContext, type BenchWorld } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { interleave, interleaveOperations, type Pairs, percentile, rate } from './measure.ts';
import { BOUNDARY, sampleReport, sampleTransition } from './sample-entries.ts';

const AGGREGATES = 64;
const PER_AGGREGATE = { relaxed: 100, always: 30 };
const OPERATIONS = 150;
const WARM_UP = 20;

const runSubject = (): string => aggregateSubject(BOUNDARY, 'run', makeId('run', systemIds.ulid()));

/** An aggregate and the entries to be appended to it, made ahead. */
interface Aggregate {
  readonly entries: readonly NewEntry[];
}

const newAggregates = (count: number, length: number): readonly Aggregate[] => {
  const like = sampleReport({ sourceSeq: 1 });
  return Array.from({ length: count }, () => {
    const subject = runSubject();
    return { entries: Array.from({ length }, () => sampleTransition(subject, like)) };
  });
};

const appendOne = async (log: EventLog, entry: NewEntry): Promise<number> => {
  const outcome = await log.append(entry);
  if (outcome.kind !== 'appended') throw new Error(`conflict on ${outcome.subject}`);
  return outcome.seq;
};

/** Each aggregate appends its next entry when the last one is stored. */
const appendAll = async (
  aggregates: readonly Aggregate[],
  append: (entry: NewEntry) => Promise<number>,
): Promise<void> => {
  await Promise.all(
    aggregates.map(async ({ entries }) => {
      let expectedSeq = 0;
      for (const entry of entries) expectedSeq = await append({ ...entry, expectedSeq });
    }),
  );
};

/** The same without a promise an entry: the answer to one sends the next. */
const ringAll = async (ring: Ring, aggregates: readonly Aggregate[]): Promise<void> => {
  const sendNext = (entries: readonly NewEntry[], at: number, expectedSeq: number): void => {
    const entry = entries[at];
    if (entry === undefined) return;
    const { subject, body } = entry;
    const message = { subject, body, headers: bareHeaders({ ...entry, expectedSeq }) };
    if (!ring.tryPublish(message, (seq) => sendNext(entries, at + 1, seq)))
      throw new Error('the ring has a place for each aggregate');
  };
  for (const { entries } of aggregates) sendNext(entries, 0, 0);
  await ring.drained();
};

/** Medians of both sides, round by round. */
const sequential = async (world: BenchWorld, rounds: number): Promise<Record<'p50' | 'p99', Pairs>> => {
  const log = world.log('TRANSITIONS');
  const p50 = { ours: [] as number[], floor: [] as number[] };
  const p99 = { ours: [] as number[], floor: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const mine = newAggregates(OPERATIONS + WARM_UP, 1);
    const bare = newAggregates(OPERATIONS + WARM_UP, 1);
    const first = (aggregates: readonly Aggregate[], n: number): NewEntry => {
      const [entry] = aggregates[n]?.entries ?? [];
      if (entry === undefined) throw new Error('too few aggregates');
      return { ...entry, expectedSeq: 0 };
    };
    const { ours, floor } = await interleaveOperations(OPERATIONS, WARM_UP, {
      ours: async (n) => void (await appendOne(log, first(mine, n))),
      floor: async (n) => void (await bareAppend(world.bare, first(bare, n))),
    });
    p50.ours.push(percentile(ours, 0.5));
    p50.floor.push(percentile(floor, 0.5));
    p99.ours.push(percentile(ours, 0.99));
    p99.floor.push(percentile(floor, 0.99));
  }
  return { p50, p99 };
};

const runSequential = async (world: BenchWorld, { profile, rounds, emit }: BenchContext): Promise<void> => {
  const { p50, p99 } = await sequential(world, rounds);
  const named = { bench: 'appends', unit: 'ms', profile } as const;
  const target: Target = { of: 'ratio', is: '<=', limit: 1.3 };
  emit(fromPairs({ ...named, figure: 'one after another, p50', target }, p50));
  emit(fromPairs({ ...named, figure: 'one after another, p99', target: null }, p99));
};

const runTogether = async (world: BenchWorld, { profile, rounds, emit }: BenchContext): Promise<void> => {
  const log = world.log('TRANSITIONS');
  const length = PER_AGGREGATE[profile];
  const count = AGGREGATES * length;
  const ring = createRing(world.bare, AGGREGATES);
  const grouped = createGroupLoop(world.bare);
  const isSynced = profile === 'always';
  const compare = async (
    figure: string,
    target: Target | null,
    floor: (aggregates: readonly Aggregate[]) => Promise<void>,
  ): Promise<void> => {
    const measure = (work: (aggregates: readonly Aggregate[]) => Promise<void>): Promise<number> => {
      const aggregates = newAggregates(AGGREGATES, length);
      return rate(count, () => work(aggregates));
    };
    const pairs = await interleave(
      rounds,
      () => measure((aggregates) => appendAll(aggregates, (entry) => appendOne(log, entry))),
      () => measure(floor),
    );
    emit(fromPairs({ bench: 'appends', figure, unit: 'entries/s', target, profile }, pairs));
  };
  const target = (limit: number): Target => ({ of: 'ratio', is: '>=', limit });
  await compare(`${AGGREGATES} at once, floor in flight`, target(0.8), (aggregates) =>
    ringAll(ring, aggregates),
  );
  await compare(`${AGGREGATES} at once, floor grouped`, isSynced ? target(0.85) : null, (aggregates) =>
    appendAll(aggregates, grouped),
  );
};

export const appendsBench: Bench = {
  name: 'appends',
  run: async (context) => {
    await using world = await openBenchWorld(context.profile);
    await runSequential(world, context);
    await runTogether(world, context);
  },
};
