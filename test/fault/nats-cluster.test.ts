// The ports on a cluster of three: retries told from conflicts, appends through the death of leaders, and watches that go on
// when the node that served them dies.
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import type { KeyValue, WatchEvent } from '#libs/ports/key-value.ts';
import { testCluster, type TestCluster } from '#test/support/broker.ts';
import { connectTo, overheardPulls } from '#test/support/nats-connection.ts';
import { brokenChains, storedMessages } from '#test/support/stored-messages.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PATIENCE = { attemptMs: 1_000, withinMs: 40_000 };
const LONG = { timeout: 120_000 };
const body = new TextEncoder().encode('{}');

const entryOf = (subject: string, id: string, expectedSeq?: number): NewEntry => ({
  subject,
  id,
  headers: {},
  body,
  ...(expectedSeq === undefined ? {} : { expectedSeq }),
});

let cluster: TestCluster;
let connection: NatsConnectionHandle;

beforeAll(async () => {
  cluster = await testCluster();
  connection = await connectTo(cluster);
}, 90_000);

afterAll(async () => {
  await connection.close();
  await cluster.stop();
});

const createLog = async (stream: string): Promise<EventLog> => {
  await natsTopology(connection).createStream({
    name: stream,
    subjects: [`${stream}.>`],
    num_replicas: 3,
    allow_atomic: true,
    allow_direct: true,
  });
  return createEventLog(connection, { stream, patience: PATIENCE });
};

const createBucket = async (bucket: string): Promise<KeyValue> => {
  await natsTopology(connection).createStream({
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    num_replicas: 3,
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: true,
    allow_direct: true,
  });
  return openKeyValue(connection, { bucket, patience: PATIENCE });
};

const leaderOf = async (stream: string): Promise<string> => {
  const answer = await connection.nc.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: 5_000 });
  return answer.json<{ cluster?: { leader?: string } }>().cluster?.leader ?? '';
};

/** Kills a node while `work` runs, and has it back and in step at the end. */
const withoutNode = async (name: string, work: () => Promise<void>): Promise<void> => {
  const node = cluster.nodes.find((one) => one.name === name);
  if (node === undefined) throw new Error(`no node ${name}`);
  await node.broker.kill();
  try {
    await work();
  } finally {
    await node.broker.restart();
    await cluster.ready();
  }
};

describe('a log with three replicas', () => {
  it(
    'tells an append that had succeeded from a conflict, also when others have appended since',
    LONG,
    async () => {
      const log = await createLog('RETRY');
      const first = entryOf('RETRY.a', 'first', 0);
      expect(await log.append(first)).toEqual({ kind: 'appended', seq: 1, duplicate: false });
      expect(await log.append(first)).toEqual({ kind: 'appended', seq: 1, duplicate: true });
      await log.append(entryOf('RETRY.a', 'second', 1));
      expect(await log.append(first)).toEqual({ kind: 'appended', seq: 1, duplicate: true });
      expect(await log.append(entryOf('RETRY.a', 'other', 0))).toEqual({
        kind: 'conflict',
        subject: 'RETRY.a',
        expectedSeq: 0,
        actualSeq: 2,
      });
      const batch = [entryOf('RETRY.b', 'b1', 0), entryOf('RETRY.c', 'c1', 0)];
      expect(await log.appendTogether(batch)).toEqual({ kind: 'appended', seqs: [3, 4], duplicate: false });
      await log.append(entryOf('RETRY.b', 'b2', 3));
      expect(await log.appendTogether(batch)).toEqual({ kind: 'appended', seqs: [3, 4], duplicate: true });
    },
  );

  it('lets one of many racers win and gives the others the sequence that beat them', LONG, async () => {
    const log = await createLog('RACE');
    const racers = Array.from({ length: 16 }, (_, n) =>
      createEventLog(connection, { stream: 'RACE' }).append(entryOf('RACE.a', `r${n}`, 0)),
    );
    const outcomes = await Promise.all(racers);
    expect(outcomes.filter(({ kind }) => kind === 'appended')).toHaveLength(1);
    for (const outcome of outcomes) if (outcome.kind === 'conflict') expect(outcome.actualSeq).toBe(1);
    expect((await log.bounds()).entries).toBe(1);
  });

  it('loses and doubles nothing when its leader dies amid appends', LONG, async () => {
    const log = await createLog('KILL');
    const acknowledged: { id: string; seq: number }[] = [];
    const over = new AbortController();
    const write = async (subject: string): Promise<void> => {
      for (let step = 1, expectedSeq = 0; !over.signal.aborted; step += 1) {
        const id = `${subject}-${step}`;
        const outcome = await log.append(entryOf(subject, id, expectedSeq));
        if (outcome.kind === 'conflict')
          throw new Error(`a conflict with nobody: ${JSON.stringify(outcome)}`);
        acknowledged.push({ id, seq: outcome.seq });
        expectedSeq = outcome.seq;
      }
    };
    const working = Promise.all(Array.from({ length: 12 }, (_, n) => write(`KILL.a${n}`)));
    for (let round = 0; round < 2; round += 1) {
      const before = acknowledged.length;
      await expect
        .poll(() => acknowledged.length, { timeout: 30_000, interval: 5 })
        .toBeGreaterThan(before + 200);
      await withoutNode(await leaderOf('KILL'), async () => {
        const atDeath = acknowledged.length;
        await expect
          .poll(() => acknowledged.length, { timeout: 30_000, interval: 20 })
          .toBeGreaterThan(atDeath + 100);
      });
    }
    over.abort();
    await working;
    const messages = await storedMessages(connection, 'KILL', (await log.bounds()).lastSeq);
    const byId = new Map(messages.map((message) => [message.id, message.seq]));
    expect(byId.size).toBe(messages.length);
    for (const { id, seq } of acknowledged) expect(byId.get(id)).toBe(seq);
    expect(brokenChains(messages)).toEqual([]);
  });
});

describe('watches', () => {
  it('go on without gap or repeat when a node dies, whichever it is', LONG, async () => {
    const kv = await createBucket('watched');
    const log = await createLog('FOLLOWED');
    const stop = new AbortController();
    // A node may die without a word to this connection: only heartbeats tell.
    const pulls = overheardPulls(connection, 'KV_watched');
    const seen: WatchEvent[] = [];
    const followed: number[] = [];
    const watching = (async () => {
      for await (const event of kv.watch({ signal: stop.signal })) seen.push(event);
    })();
    const following = (async () => {
      for await (const entry of log.replay({ follow: true, signal: stop.signal })) followed.push(entry.seq);
    })();
    const values = new TextEncoder();
    let written = 0;
    const writeAndSee = async (): Promise<void> => {
      written += 1;
      const put = await kv.put(`key-${written}`, values.encode(`${written}`));
      const append = await log.append(entryOf('FOLLOWED.a', `f${written}`));
      if (put.kind !== 'stored' || append.kind !== 'appended') throw new Error('not written');
      await expect
        .poll(() => seen.some((event) => event.kind === 'put' && event.entry.revision === put.revision), {
          timeout: 30_000,
          interval: 10,
        })
        .toBe(true);
      await expect.poll(() => followed.includes(append.seq), { timeout: 30_000, interval: 10 }).toBe(true);
    };
    await writeAndSee();
    for (const { name } of cluster.nodes) {
      // The watch's own consumer lives on one of the three: each dies in turn.
      await withoutNode(name, async () => {
        for (let n = 0; n < 5; n += 1) await writeAndSee();
      });
      await writeAndSee();
    }
    stop.abort();
    await Promise.all([watching, following]);
    pulls.stop();
    expect(new Set(pulls.heartbeatsMs)).toEqual(new Set([500]));
    const keys = seen.flatMap((event) => (event.kind === 'put' ? [event.entry.key] : []));
    expect(keys).toEqual(Array.from({ length: written }, (_, n) => `key-${n + 1}`));
    expect(seen.filter(({ kind }) => kind === 'current')).toHaveLength(1);
    expect(followed).toEqual(Array.from({ length: written }, (_, n) => n + 1));
  });
});
