// Folding a stream into a bucket: `runProjection` against a bare consumer that folds the same events and does one put per changed
// key per batch, with as many puts in flight. The floor keeps no position, expects no revisions and recovers from nothing.
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { defineProjection, encodeValue, type Projection } from '#libs/projections/projection.ts';
import { runProjection } from '#libs/projections/run-projection.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { makeId } from '#streams/ids.ts';
import { typedFilter } from '#streams/subjects.ts';
import { createRing } from './bare-publish.ts';
import { openBenchWorld, type Bench } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { interleave, rate } from './measure.ts';
import { sampleReport } from './sample-entries.ts';

const TARGET: Target = { of: 'ratio', is: '>=', limit: 0.7 };
/** Enough that the start of either side does not show; less where each put waits for the disk. */
const FEW_KEYS = 20;
const MANY_KEYS = 2000;
const COUNT = 20_000;
const SYNCED_PUTS = 4000;
const APPEND_SIZE = 1000;
/** That of the projection. */
const MAX_BATCH = 512;
const WINDOW = 512;

interface Said {
  readonly sessionId: string;
  readonly text: string;
}

interface Talk {
  readonly texts: number;
  readonly characters: number;
  readonly lastText: string;
}

const decoder = new TextDecoder();

/** A fold that costs next to nothing, so that what is measured is the way around it. */
const talkProjection = (bucket: string): Projection<Said, Talk> =>
  defineProjection({
    name: 'talk',
    version: 1,
    stream: 'EVENTS',
    subjects: [typedFilter('evt')],
    bucket,
    decode: (entry) => JSON.parse(decoder.decode(entry.body)) as Said,
    key: ({ sessionId }) => sessionId,
    initial: { texts: 0, characters: 0, lastText: '' },
    evolve: ({ texts, characters }, { text }) => ({
      texts: texts + 1,
      characters: characters + text.length,
      lastText: text,
    }),
    parse: (value) => value as Talk,
  });

/** Started, and to be ended when the time has been taken. */
type Started = Pick<AsyncDisposableStack, 'defer'>;

const project = async (log: EventLog, kv: KeyValue, lastSeq: number, started: Started): Promise<void> => {
  const failed = Promise.withResolvers<never>();
  const running = runProjection({
    projection: talkProjection(kv.bucket),
    log,
    kv,
    clock: systemClock,
    ids: systemIds,
    onPoison: ({ error }) => Promise.reject(new Error('poison', { cause: error })),
    onFatal: failed.reject,
  });
  started.defer(() => running.stop());
  await Promise.race([running.reached(lastSeq), failed.promise]);
};

/** Takes what has arrived, up to a full batch, folds it and puts each changed key once; the next arrives meanwhile. */
const foldBare = async (
  nc: NatsConnection,
  bucket: string,
  lastSeq: number,
  started: Started,
): Promise<void> => {
  const { decode, key, evolve, initial } = talkProjection(bucket);
  const ring = createRing(nc, WINDOW);
  const states = new Map<string, Talk>();
  const consumer = await jetstream(nc).consumers.get('EVENTS', { filter_subjects: [typedFilter('evt')] });
  let arrived: { readonly seq: number; readonly body: Uint8Array }[] = [];
  let wake: (() => void) | undefined;
  const messages = await consumer.consume({
    max_messages: 2 * MAX_BATCH,
    callback: ({ seq, data }) => {
      arrived.push({ seq, body: data });
      wake?.();
    },
  });
  started.defer(async () => {
    await messages.close();
    await consumer.delete();
  });
  for (let folded = 0; folded < lastSeq;) {
    if (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const batch = arrived.slice(0, MAX_BATCH);
    arrived = arrived.slice(MAX_BATCH);
    const changed = new Map<string, number>();
    for (const { seq, body } of batch) {
      const entry = { seq, body, subject: '', headers: {}, storedAt: 0 };
      const event = decode(entry);
      const name = event === undefined ? undefined : key(event, entry);
      if (event === undefined || name === undefined) continue;
      states.set(name, evolve(states.get(name) ?? initial, event, entry));
      changed.set(name, seq);
    }
    for (const [name, seq] of changed) {
      const body = encodeValue({ seq, state: states.get(name) ?? initial });
      const put = { subject: `$KV.${bucket}.${name}`, body };
      while (!ring.tryPublish(put, () => undefined)) await ring.room();
    }
    await ring.drained();
    folded = batch.at(-1)?.seq ?? folded;
  }
};

const fill = async (log: EventLog, count: number, keys: number): Promise<number> => {
  const sessions = Array.from({ length: keys }, () => makeId('session', systemIds.ulid()));
  const entries = Array.from({ length: count }, (_, at): NewEntry => {
    // Spread without a pattern, and the same in every run.
    const sessionId = sessions[Math.imul(at + 1, 0x9e37_79b1) % keys] ?? sessions.at(-1);
    return sampleReport({ sourceSeq: at + 1, ...(sessionId === undefined ? {} : { sessionId }) });
  });
  for (let at = 0; at < count; at += APPEND_SIZE)
    await log.appendTogether(entries.slice(at, at + APPEND_SIZE));
  return (await log.bounds()).lastSeq;
};

export const projectionBench: Bench = {
  name: 'projection',
  run: async ({ profile, rounds, emit }) => {
    for (const keys of [FEW_KEYS, MANY_KEYS]) {
      await using world = await openBenchWorld(profile);
      const log = world.log('EVENTS');
      const count = profile === 'always' && keys === MANY_KEYS ? SYNCED_PUTS : COUNT;
      const lastSeq = await fill(log, count, keys);
      const pairs = await interleave(
        rounds,
        async () => {
          const kv = await world.newBucket();
          await using started = new AsyncDisposableStack();
          return await rate(count, () => project(log, kv, lastSeq, started));
        },
        async () => {
          const { bucket } = await world.newBucket();
          await using started = new AsyncDisposableStack();
          return await rate(count, () => foldBare(world.bare, bucket, lastSeq, started));
        },
      );
      const figure = `catch-up, ${keys} keys`;
      emit(fromPairs({ bench: 'projection', figure, unit: 'entries/s', target: TARGET, profile }, pairs));
    }
  },
};
