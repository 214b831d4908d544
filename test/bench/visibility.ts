// How long until an appended event can be read from the bucket: from the call of `append` to the watch that shows the folded key,
// through the log, the projection and the bucket. The floor is the same way by hand: request, consumer, put, watch.
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { defineProjection } from '#libs/projections/projection.ts';
import { runProjection } from '#libs/projections/run-projection.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { typedFilter } from '#streams/subjects.ts';
import { bareAppend } from './bare-publish.ts';
import { openBenchWorld, type Bench, type BenchWorld } from './bench-world.ts';
import { type Figure, fromPairs } from './figure.ts';
import { interleaveOperations, type Pairs, percentile } from './measure.ts';
import { sampleReport } from './sample-entries.ts';

const PER_ROUND = 60;
const WARM_UP = 10;
const OURS = 'bench-ours';
const BARE = 'bench-bare';
const decoder = new TextDecoder();

/** What was appended and is awaited in a bucket: resolves when a watch has shown its number. */
class Arrivals {
  #shown = 0;
  #wanted = 0;
  #resolve: (() => void) | undefined;

  show(value: Uint8Array): void {
    const { last } = JSON.parse(decoder.decode(value)) as { readonly last?: number };
    this.#shown = Math.max(this.#shown, last ?? 0);
    if (this.#shown >= this.#wanted) this.#resolve?.();
  }

  of(number: number): Promise<void> {
    if (this.#shown >= number) return Promise.resolve();
    this.#wanted = number;
    return new Promise((resolve) => (this.#resolve = resolve));
  }
}

const lastProjection = (bucket: string) =>
  defineProjection<number, { readonly last: number }>({
    name: 'last',
    version: 1,
    stream: 'EVENTS',
    subjects: [typedFilter('evt', { id: OURS })],
    bucket,
    decode: (entry) => Number.parseInt((JSON.parse(decoder.decode(entry.body)) as { text: string }).text, 10),
    key: () => 'last',
    initial: { last: 0 },
    evolve: (_state, last) => ({ last }),
    parse: (value) => value as { readonly last: number },
  });

/** Starts our side. Resolves with the operation that is measured. */
const openOurs = async (
  world: BenchWorld,
  stack: AsyncDisposableStack,
): Promise<(n: number) => Promise<void>> => {
  const log = world.log('EVENTS');
  const kv = await world.newBucket();
  const arrivals = new Arrivals();
  const running = runProjection({
    projection: lastProjection(kv.bucket),
    log,
    kv,
    clock: systemClock,
    ids: systemIds,
    onPoison: () => Promise.reject(new Error('poison')),
    onFatal: (error) => {
      throw error;
    },
  });
  const isOver = new AbortController();
  const watching = watchOurs(kv, arrivals, isOver.signal);
  stack.defer(async () => {
    isOver.abort();
    await watching;
    await running.stop();
  });
  return async (n) => {
    await log.append(sampleReport({ agent: OURS, sourceSeq: n }));
    await arrivals.of(n);
  };
};

const watchOurs = async (kv: KeyValue, arrivals: Arrivals, signal: AbortSignal): Promise<void> => {
  for await (const event of kv.watch({ keys: ['last'], signal }))
    if (event.kind === 'put') arrivals.show(event.entry.value);
};

/** Starts the floor. Resolves with the operation that is measured. */
const openFloor = async (
  nc: NatsConnection,
  bucket: string,
  stack: AsyncDisposableStack,
): Promise<(n: number) => Promise<void>> => {
  const js = jetstream(nc);
  const arrivals = new Arrivals();
  const subject = `$KV.${bucket}.last`;
  const events = await js.consumers.get('EVENTS', { filter_subjects: [typedFilter('evt', { id: BARE })] });
  const folding = await events.consume({
    callback: ({ data }) => {
      const { text } = JSON.parse(decoder.decode(data)) as { readonly text: string };
      void nc.request(subject, JSON.stringify({ last: Number.parseInt(text, 10) }), { timeout: 5000 });
    },
  });
  const puts = await js.consumers.get(`KV_${bucket}`, { filter_subjects: [subject] });
  const watching = await puts.consume({ callback: ({ data }) => arrivals.show(data) });
  stack.defer(async () => {
    await folding.close();
    await watching.close();
  });
  return async (n) => {
    await bareAppend(nc, sampleReport({ agent: BARE, sourceSeq: n }));
    await arrivals.of(n);
  };
};

type Share = 'p50' | 'p99';

export const visibilityBench: Bench = {
  name: 'visibility',
  run: async ({ profile, rounds, emit }) => {
    await using world = await openBenchWorld(profile);
    await using stack = new AsyncDisposableStack();
    const { bucket } = await world.newBucket();
    const ours = await openOurs(world, stack);
    const floor = await openFloor(world.bare, bucket, stack);
    const count = PER_ROUND * rounds;
    const pairs = await interleaveOperations(count, WARM_UP, {
      ours: (n) => ours(n + 1),
      floor: (n) => floor(n + 1),
    });
    const share = (name: Share, limit: number): Figure => {
      const at = name === 'p50' ? 0.5 : 0.99;
      const value = percentile(pairs.ours, at);
      const bare = percentile(pairs.floor, at);
      const target = { of: 'difference', is: '<=', limit } as const;
      const named = {
        bench: 'visibility',
        figure: `append to watch, ${name}`,
        unit: 'ms',
        target,
        profile,
      } as const;
      return { ...fromPairs(named, inRounds(pairs, at)), value, floor: bare, ratio: value / bare };
    };
    emit(share('p50', 5));
    emit(share('p99', 25));
  },
};

/** A percentile of each round, for the spread. */
const inRounds = ({ ours, floor }: Pairs, share: number): Pairs => {
  const cut = (samples: readonly number[]): readonly number[] =>
    Array.from({ length: Math.floor(samples.length / PER_ROUND) }, (_, round) =>
      percentile(samples.slice(round * PER_ROUND, (round + 1) * PER_ROUND), share),
    );
  return { ours: cut(ours), floor: cut(floor) };
};
