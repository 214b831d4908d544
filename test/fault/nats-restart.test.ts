// Queues, watches, replays and the publisher over restarts of a single broker.
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { createPublisher } from '#libs/nats/publisher.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { WatchEvent } from '#libs/ports/key-value.ts';
import type { PublishOutcome } from '#libs/ports/publisher.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { storedMessages } from '#test/support/stored-messages.ts';
import { describe, expect, it } from 'vitest';

const LONG = { timeout: 60_000 };
const POLL = { timeout: 20_000, interval: 5 };
const body = new TextEncoder().encode('{}');
const entryOf = (id: string): Omit<NewEntry, 'expectedSeq'> => ({ subject: 'log.a', id, headers: {}, body });

const BUCKET = {
  subjects: ['$KV.state.>'],
  name: 'KV_state',
  max_msgs_per_subject: 1,
  allow_rollup_hdrs: true,
  allow_direct: true,
};

const open = async (broker: FreshBroker): Promise<NatsConnectionHandle> => {
  const connection = await connectTo({ ...broker, urls: [broker.url] });
  const topology = natsTopology(connection);
  await topology.createStream({ name: 'LOG', subjects: ['log.>'], allow_atomic: true, allow_direct: true });
  await topology.createStream(BUCKET);
  return connection;
};

const crash = async (broker: FreshBroker): Promise<void> => {
  await broker.kill();
  await broker.restart();
};

describe('a work queue', () => {
  it('goes on after a crash of the broker and hands out every entry', LONG, async () => {
    await using broker = await freshBroker();
    const connection = await open(broker);
    await natsTopology(connection).createConsumer('LOG', {
      durable_name: 'workers',
      ack_policy: 'explicit',
      ack_wait: 2_000_000_000,
    });
    const log = createEventLog(connection, { stream: 'LOG' });
    const queue = openWorkQueue(connection, { stream: 'LOG', consumer: 'workers' });
    const stop = new AbortController();
    const done = new Set<number>();
    const working = (async () => {
      for await (const batch of queue.batches({ max: 20, signal: stop.signal }))
        for (const delivery of batch) {
          done.add(delivery.entry.seq);
          delivery.ack();
        }
    })();
    const goal: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const ids = Array.from({ length: 100 }, (_, n) => `r${round}-${n}`);
      await log.appendTogether(ids.slice(0, 50).map(entryOf));
      await crash(broker);
      await log.appendTogether(ids.slice(50).map(entryOf));
      for (let n = 0; n < 100; n += 1) goal.push(goal.length + 1);
      await expect.poll(() => done.size, POLL).toBe(goal.length);
    }
    expect([...done].sort((a, b) => a - b)).toEqual(goal);
    await expect.poll(() => queue.backlog(), POLL).toEqual({ pending: 0, unacknowledged: 0 });
    stop.abort();
    await working;
    await connection.close();
  });

  it('opened while the broker is away starts when it is back', LONG, async () => {
    await using broker = await freshBroker();
    const connection = await open(broker);
    await natsTopology(connection).createConsumer('LOG', { durable_name: 'workers', ack_policy: 'explicit' });
    await createEventLog(connection, { stream: 'LOG' }).append(entryOf('only'));
    await broker.kill();
    await expect.poll(() => connection.connected, POLL).toBe(false);
    const stop = new AbortController();
    const queue = openWorkQueue(connection, { stream: 'LOG', consumer: 'workers' });
    const taking = queue.batches({ max: 1, signal: stop.signal })[Symbol.asyncIterator]().next();
    await broker.restart();
    const { value } = await taking;
    expect(value).toHaveLength(1);
    stop.abort();
    await connection.close();
  });
});

describe('watches and replays', () => {
  it('go on after crashes of the broker, without gap or repeat', LONG, async () => {
    await using broker = await freshBroker();
    const connection = await open(broker);
    const log = createEventLog(connection, { stream: 'LOG' });
    const kv = openKeyValue(connection, { bucket: 'state' });
    const stop = new AbortController();
    const seen: WatchEvent[] = [];
    const followed: number[] = [];
    const watching = (async () => {
      for await (const event of kv.watch({ signal: stop.signal })) seen.push(event);
    })();
    const together: number[] = [];
    const following = (async () => {
      for await (const entry of log.replay({ follow: true, signal: stop.signal })) followed.push(entry.seq);
    })();
    const followingTogether = [1, 2].map(async () => {
      const options = { follow: true, isShared: true, signal: stop.signal };
      for await (const entry of log.replay(options)) together.push(entry.seq);
    });
    for (let n = 1; n <= 12; n += 1) {
      await kv.put(`key-${n}`, body);
      await log.append(entryOf(`e${n}`));
      await expect.poll(() => followed.length, POLL).toBe(n);
      await expect.poll(() => together.length, POLL).toBe(2 * n);
      await expect.poll(() => seen.filter(({ kind }) => kind === 'put').length, POLL).toBe(n);
      if (n % 4 === 0) await crash(broker);
    }
    stop.abort();
    await Promise.all([watching, following, ...followingTogether]);
    expect(followed).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
    expect(together).toEqual(followed.flatMap((seq) => [seq, seq]));
    const revisions = seen.flatMap((event) => (event.kind === 'put' ? [event.entry.revision] : []));
    expect(revisions).toEqual(followed);
    expect(seen.filter(({ kind }) => kind === 'current')).toHaveLength(1);
    await connection.close();
  });

  it('tell a bucket that was made anew: its state comes again', LONG, async () => {
    await using broker = await freshBroker();
    const connection = await open(broker);
    const kv = openKeyValue(connection, { bucket: 'state' });
    for (const key of ['a', 'b', 'c']) await kv.put(key, body);
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const event of kv.watch({ signal: stop.signal }))
        seen.push(event.kind === 'put' ? event.entry.key : event.kind);
    })();
    await expect.poll(() => seen, POLL).toEqual(['a', 'b', 'c', 'current']);
    await connection.nc.request('$JS.API.STREAM.DELETE.KV_state', '');
    await natsTopology(connection).createStream(BUCKET);
    await kv.put('d', body);
    await expect.poll(() => seen, POLL).toEqual(['a', 'b', 'c', 'current', 'd', 'current']);
    await kv.delete('d');
    await expect.poll(() => seen.at(-1), POLL).toBe('deleted');
    stop.abort();
    await watching;
    await connection.close();
  });

  it(
    'end a replay that follows a stream which was made anew: its positions mean nothing any more',
    LONG,
    async () => {
      await using broker = await freshBroker();
      const connection = await open(broker);
      const log = createEventLog(connection, { stream: 'LOG' });
      await log.append(entryOf('one'));
      await log.append(entryOf('two'));
      const followed: number[] = [];
      const ended = [false, true, true].map(async (isShared) => {
        const following = (async () => {
          for await (const entry of log.replay({ follow: true, isShared })) followed.push(entry.seq);
        })();
        await expect(following).rejects.toMatchObject({ code: 'LOG_MISSING', retry: 'never' });
      });
      await expect.poll(() => followed.toSorted((a, b) => a - b), POLL).toEqual([1, 1, 1, 2, 2, 2]);
      await connection.nc.request('$JS.API.STREAM.DELETE.LOG', '');
      await natsTopology(connection).createStream({ name: 'LOG', subjects: ['log.>'] });
      await Promise.all(ended);
      await connection.close();
    },
  );
});

describe('the publisher', () => {
  it(
    'tells each entry apart over a crash: acknowledged ones are stored, unreachable ones can be sent again',
    LONG,
    async () => {
      await using broker = await freshBroker();
      const connection = await open(broker);
      const publisher = createPublisher(connection, { window: 64, timeoutMs: 2_000 });
      const outcomes = new Map<string, PublishOutcome>();
      const send = async (ids: readonly string[]): Promise<void> => {
        for (const id of ids) {
          const { outcome } = await publisher.publish(entryOf(id));
          void outcome.then((one) => outcomes.set(id, one));
        }
        await publisher.drained();
      };
      const ids = Array.from({ length: 6_000 }, (_, n) => `e${n}`);
      const sending = send(ids);
      await expect.poll(() => outcomes.size, POLL).toBeGreaterThan(500);
      await broker.kill();
      await sending;
      const lost = ids.filter((id) => outcomes.get(id)?.kind === 'unreachable');
      expect(lost.length).toBeGreaterThan(0);
      expect(ids.filter((id) => outcomes.get(id)?.kind === 'refused')).toEqual([]);
      await broker.restart();
      await connection.whenConnected();
      await send(lost);
      const log = createEventLog(connection, { stream: 'LOG' });
      const messages = await storedMessages(connection, 'LOG', (await log.bounds()).lastSeq);
      expect(messages).toHaveLength(ids.length);
      const seqs = new Map(messages.map(({ id, seq }) => [id, seq]));
      for (const id of ids) expect(outcomes.get(id)).toMatchObject({ kind: 'stored', seq: seqs.get(id) });
      await publisher.close();
      await connection.close();
    },
  );
});
