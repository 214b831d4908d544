// The tally projection on the memory broker under a manual clock: what the tests of projections have in common.
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Poison } from '#libs/projections/fold.ts';
import type { ProjectionEvent } from '#libs/projections/parts.ts';
import { POSITION_KEY, readPosition } from '#libs/projections/position.ts';
import {
  runProjection,
  type RunningProjection,
  type RunProjectionOptions,
} from '#libs/projections/run-projection.ts';
import { verifyProjection } from '#libs/projections/verify.ts';
import { type Added, appendAdded, bucketContent, jsonBytes, type Tally, tallyProjection } from './tally.ts';

const running: RunningProjection[] = [];

/** Ends every projection that was started; for afterEach. */
export const stopProjections = async (): Promise<void> => {
  await Promise.all(running.splice(0).map((projection) => projection.stop()));
};

/** A stream `LOG`, its bucket `tally`, a bucket `scratch`, and whatever happens to the projection between them. */
export const projectionHarness = (seed = 1) => {
  const clock = createManualClock();
  const ids = createSeededIds(seed, clock);
  const broker = createMemoryBroker({
    clock,
    ids,
    topology: {
      streams: [{ name: 'LOG', subjects: ['LOG.>'] }],
      buckets: [{ name: 'tally' }, { name: 'scratch' }],
    },
  });
  const log = broker.eventLog('LOG');
  const kv = broker.keyValue('tally');
  const scratch = broker.keyValue('scratch');
  const projection = tallyProjection({ stream: 'LOG', bucket: 'tally' });
  const events: ProjectionEvent[] = [];
  const poisons: Poison[] = [];
  const fatal: unknown[] = [];

  const start = (options: Partial<RunProjectionOptions<Added, Tally>> = {}): RunningProjection => {
    const started = runProjection<Added, Tally>({
      projection,
      log,
      kv,
      clock,
      ids,
      onPoison: async (poison) => void poisons.push(poison),
      observe: (event) => events.push(event),
      onFatal: (error) => fatal.push(error),
      ...options,
    });
    running.push(started);
    return started;
  };
  return {
    clock,
    ids,
    broker,
    log,
    kv,
    scratch,
    projection,
    events,
    poisons,
    fatal,
    start,
    add: (key: string, add: Added['add']) => appendAdded(log, { key, add }),
    content: (bucket: KeyValue = kv) => bucketContent(bucket),
    /** The stored position; throws while there is none. */
    position: async () => {
      const { position } = await readPosition(kv);
      if (position === undefined) throw new Error('the projection has no position yet');
      return position;
    },
    kinds: () => events.map(({ kind }) => kind),
    verify: () => verifyProjection({ projection, log, kv }),
    /** Writes a value past the projection, as a person with a tool would. */
    tamper: (key: string, value: unknown) => kv.put(key, jsonBytes(value)),
    POSITION_KEY,
  };
};
