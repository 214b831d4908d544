// Atomic batches of one agent in order, one in flight: `EventLog.appendTogether` against the same batch headers written by hand.
import { bareBatch } from './bare-publish.ts';
import { openBenchWorld, type Bench } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { interleave, rate } from './measure.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import { sampleReports } from './sample-entries.ts';

const TARGET: Target = { of: 'ratio', is: '>=', limit: 0.9 };
const COUNT = 4000;

const inBatches = (entries: readonly NewEntry[], size: number): readonly (readonly NewEntry[])[] =>
  Array.from({ length: Math.ceil(entries.length / size) }, (_, at) =>
    entries.slice(at * size, (at + 1) * size),
  );

export const batchesBench: Bench = {
  name: 'batches',
  run: async ({ profile, rounds, emit }) => {
    await using world = await openBenchWorld(profile);
    const log = world.log('EVENTS');
    for (const size of [20, 100, 500]) {
      const pairs = await interleave(
        rounds,
        async () => {
          const batches = inBatches(sampleReports(COUNT), size);
          return rate(COUNT, async () => {
            for (const batch of batches) {
              const outcome = await log.appendTogether(batch);
              if (outcome.kind !== 'appended') throw new Error('a batch without expectation conflicted');
            }
          });
        },
        async () => {
          const batches = inBatches(sampleReports(COUNT), size);
          return rate(COUNT, async () => {
            for (const batch of batches) await bareBatch(world.bare, batch);
          });
        },
      );
      const figure = `in order, ${size} entries each`;
      emit(fromPairs({ bench: 'batches', figure, unit: 'entries/s', target: TARGET, profile }, pairs));
    }
  },
};
