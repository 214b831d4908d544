// Projections, rebuilds and read views on a real broker.
import { afterEach, describe, expect, test } from 'vitest';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { createReadView } from '#libs/projections/read-view.ts';
import { rebuildProjection } from '#libs/projections/rebuild.ts';
import {
  runProjection,
  type RunningProjection,
  type RunProjectionOptions,
} from '#libs/projections/run-projection.ts';
import { verifyProjection } from '#libs/projections/verify.ts';
import { systemClock as clock } from '#libs/system/clock.ts';
import { systemIds as ids } from '#libs/system/ids.ts';
import { createSignal, natsWorld } from '#test/support/nats-world.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import { type Added, bucketContent, jsonBytes, type Tally, tallyProjection } from '#test/support/tally.ts';

const connections: NatsConnectionHandle[] = [];
const running: RunningProjection[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((projection) => projection.stop()));
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
});

const setup = async () => {
  const connection = await testConnection();
  connections.push(connection);
  const world = natsWorld(connection);
  const [log, kv, scratch] = [await world.stream(), await world.bucket(), await world.bucket('scratch')];
  const projection = tallyProjection({ stream: log.stream, bucket: kv.bucket });
  const start = (options: Partial<RunProjectionOptions<Added, Tally>> = {}): RunningProjection => {
    const started = runProjection<Added, Tally>({
      projection,
      log,
      kv,
      clock,
      ids,
      onPoison: () => Promise.resolve(),
      onFatal: (error) => expect.unreachable(String(error)),
      ...options,
    });
    running.push(started);
    return started;
  };
  let count = 0;
  /** Appends side by side, so that the log shares batches; resolves with the last sequence. */
  const add = async (events: readonly Added[]): Promise<number> => {
    const outcomes = await Promise.all(
      events.map((event) => {
        count += 1;
        const subject = `${log.stream}.${event.key ?? 'nobody'}`;
        return log.append({ subject, id: `e${count}`, headers: {}, body: jsonBytes(event) });
      }),
    );
    return Math.max(...outcomes.map((outcome) => (outcome.kind === 'appended' ? outcome.seq : 0)));
  };
  const many = (length: number, keys: number): readonly Added[] =>
    Array.from({ length }, (_, at) => ({
      key: `k${at % keys}`,
      add: at % 17 === 0 ? ('boom' as const) : at,
    }));
  return {
    world,
    log,
    kv,
    scratch,
    projection,
    start,
    add,
    many,
    verify: () => verifyProjection({ projection, log, kv }),
  };
};

describe('a projection on a broker', () => {
  test('folds what is there and what comes, and equals the log', async () => {
    const { start, add, many, verify } = await setup();
    await add(many(2000, 100));
    const projection = start();
    const last = await add(many(1000, 150));
    await projection.reached(last);
    expect(await verify()).toEqual({ equal: true, keys: 150, seq: last });
  });

  test('hands over to another process, which goes on where it stopped', async () => {
    const { world, log, kv, start, add, many, verify } = await setup();
    const other = await testConnection();
    connections.push(other);
    const ports = world.over(other);
    const heir = start({ log: ports.log(log.stream), kv: ports.kv(kv.bucket) });
    await heir.reached(await add(many(100, 10)));
    const signal = createSignal();
    const owner = start({ observe: signal.changed });
    // Claimed while nothing moves: under load a claim may lose, and then the new one stands by.
    await signal.until(() => owner.state() === 'active');
    await owner.reached(await add(many(100, 10)));
    await owner.stop();
    const last = await add(many(100, 20));
    await heir.reached(last);
    expect(await verify()).toEqual({ equal: true, keys: 20, seq: last });
  });

  test('reports a value that is too large for the bucket, and goes on with the other keys', async () => {
    const { kv, start, add, projection } = await setup();
    const stages: string[] = [];
    const large = {
      ...projection,
      evolve: (state: Tally, event: Added, entry: StoredEntry) =>
        event.key === 'big'
          ? { ...state, trail: 'x'.repeat(3_000_000) }
          : projection.evolve(state, event, entry),
    };
    const running = start({ projection: large, onPoison: async ({ stage }) => void stages.push(stage) });
    await running.reached(
      await add([
        { key: 'a', add: 1 },
        { key: 'big', add: 1 },
        { key: 'b', add: 1 },
      ]),
    );
    await running.reached(await add([{ key: 'a', add: 1 }]));
    expect(stages).toEqual(['store']);
    expect(Object.keys(await bucketContent(kv))).toEqual(['a', 'b']);
  });

  test('is rebuilt beside its live bucket while entries come, and goes on', async () => {
    const { log, kv, scratch, projection, start, add, many, verify } = await setup();
    const live = start();
    await live.reached(await add(many(500, 40)));
    await kv.put('k1', jsonBytes({ seq: 1, sum: 999, count: 0, trail: 'wrong' }));
    await kv.put('ghost', jsonBytes({ seq: 1, sum: 0, count: 0, trail: '' }));
    const adding = add(many(500, 60));
    const report = await rebuildProjection({ projection, log, live: kv, scratch, clock, ids });
    await adding;
    const last = await add(many(10, 10));
    await live.reached(last);
    expect(report.deleted).toBe(1);
    expect(await verify()).toEqual({ equal: true, keys: 60, seq: last });
  });
});

describe('a read view on a broker', () => {
  test('shows a writer its own writes', async () => {
    const { kv, projection, start, add } = await setup();
    start();
    const view = createReadView({
      projection,
      kv,
      clock,
      onFatal: (error) => expect.unreachable(String(error)),
    });
    await view.ready;
    for (let at = 1; at <= 50; at += 1) {
      const seq = await add([{ key: 'mine', add: 1 }]);
      await view.waitFor(seq, { key: 'mine', timeoutMs: 5000 });
      expect(view.get('mine')?.state.count).toBe(at);
    }
    await view.stop();
  });
});
