// Projections when processes and brokers are killed: the bucket is the fold of the log in the end.
import { expect, onTestFinished, test } from 'vitest';
import { runProjection, type RunningProjection } from '#libs/projections/run-projection.ts';
import { verifyProjection } from '#libs/projections/verify.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { systemClock as clock } from '#libs/system/clock.ts';
import { systemIds as ids } from '#libs/system/ids.ts';
import { freshBroker } from '#test/support/broker.ts';
import { startLoop } from '#test/support/loop-task.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { natsWorld } from '#test/support/nats-world.ts';
import { jsonBytes, tallyProjection } from '#test/support/tally.ts';

const setup = async () => {
  const broker = await freshBroker({ sync: 'always' });
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const connection = await connectTo({ ...broker, urls: [broker.url] });
  onTestFinished(() => connection.close());
  const world = natsWorld(connection);
  const [log, kv] = [await world.stream(), await world.bucket()];
  const projection = tallyProjection({ stream: log.stream, bucket: kv.bucket });
  const start = (limits: { readonly maxBatch?: number } = {}): RunningProjection => {
    const running = runProjection({
      projection,
      log,
      kv,
      clock,
      ids,
      onPoison: () => Promise.resolve(),
      onFatal: (error) => expect.unreachable(String(error)),
      limits,
    });
    onTestFinished(() => running.stop());
    return running;
  };
  return { broker, log, kv, start, verify: () => verifyProjection({ projection, log, kv }) };
};

/** Appends one entry, however often the broker goes away meanwhile. */
const insist = async (log: EventLog, at: number): Promise<number> => {
  const entry = { subject: `${log.stream}.k${at % 25}`, id: `e${at}`, headers: {} };
  const body = jsonBytes({ key: `k${at % 25}`, add: at % 13 === 5 ? 'boom' : at + 1 });
  for (;;) {
    const outcome = await log.append({ ...entry, body }).catch(() => undefined);
    if (outcome?.kind === 'appended') return outcome.seq;
  }
};

const appendMany = async (log: EventLog, from: number, count: number): Promise<void> => {
  await Promise.all(Array.from({ length: count }, (_, at) => insist(log, from + at)));
};

test(
  'a broker that is killed under a projection loses nothing and doubles nothing',
  { timeout: 120_000 },
  async () => {
    const { broker, log, start, verify } = await setup();
    const running = start({ maxBatch: 16 });
    for (let round = 0; round < 4; round += 1) {
      const appending = appendMany(log, round * 150, 150);
      // Somewhere in the middle of both: at a position that no two runs share.
      await running.reached(round * 150 + Math.ceil(ids.random() * 100));
      await broker.kill();
      await broker.restart();
      await appending;
    }
    const { lastSeq } = await log.bounds();
    expect(lastSeq).toBe(600);
    await running.reached(await insist(log, 600));
    expect(await verify()).toEqual({ equal: true, keys: 25, seq: 601 });
  },
);

test(
  'a process that is killed between its writes is followed by one that goes on',
  { timeout: 120_000 },
  async () => {
    const { broker, log, kv, start, verify } = await setup();
    const { url, user, password } = broker;
    const task = { url, user, password, kind: 'projection', stream: log.stream, bucket: kv.bucket } as const;
    let count = 0;
    for (let round = 0; round < 5; round += 1) {
      const child = await startLoop(task);
      const seen = new AbortController();
      const moves = Math.ceil(ids.random() * 6);
      let moved = 0;
      const appending = appendMany(log, count, 200);
      count += 200;
      for await (const event of kv.watch({ signal: seen.signal })) {
        if (event.kind === 'put') moved += 1;
        if (moved >= moves * 10) seen.abort();
      }
      await child.kill();
      await appending;
    }
    const last = start();
    await last.reached(count);
    expect(await verify()).toEqual({ equal: true, keys: 25, seq: count });
  },
);
