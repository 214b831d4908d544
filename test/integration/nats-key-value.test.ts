// What only buckets on JetStream have: markers that go away by themselves, buckets of other shapes, faults.
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { all } from '#test/contract/reading.ts';
import { testBroker } from '#test/support/broker.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { lossyProxy } from '#test/support/lossy-proxy.ts';
import { connectTo, overheardPulls, testConnection } from '#test/support/nats-connection.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const NS_PER_S = 1_000_000_000;
const POLL = { timeout: 15_000, interval: 20 };
const value = new TextEncoder().encode('{}');

let connection: NatsConnectionHandle;
beforeAll(async () => {
  connection = await testConnection();
});
afterAll(() => connection.close());

interface Setup {
  readonly kv: KeyValue;
  readonly stream: string;
  readonly messages: () => Promise<number>;
}

const setup = async (config: Readonly<Record<string, unknown>> = {}): Promise<Setup> => {
  const bucket = freshName('bucket');
  const topology = natsTopology(connection);
  const stream = `KV_${bucket}`;
  await topology.createStream({
    name: stream,
    subjects: [`$KV.${bucket}.>`],
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: true,
    allow_direct: true,
    ...config,
  });
  return {
    stream,
    kv: openKeyValue(connection, { bucket }),
    messages: async () => (await topology.listStreams()).find(({ name }) => name === stream)?.messages ?? -1,
  };
};

describe('a bucket with markers', () => {
  it('forgets deleted keys after a while, and does not announce that as their expiry', async () => {
    const { kv, messages } = await setup({ allow_msg_ttl: true, subject_delete_marker_ttl: NS_PER_S });
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const event of kv.watch({ signal: stop.signal }))
        seen.push(event.kind === 'put' ? `put ${event.entry.key}` : event.kind);
    })();
    await expect.poll(() => seen, POLL).toEqual(['current']);
    await kv.put('released', value);
    await kv.delete('released');
    await kv.put('expires', value, { ttlMs: 1_000 });
    await expect.poll(messages, POLL).toBe(0);
    expect(seen).toEqual(['current', 'put released', 'deleted', 'put expires', 'expired']);
    expect(await kv.put('released', value, { expectedRevision: 0 })).toMatchObject({ kind: 'stored' });
    stop.abort();
    await watching;
  });
});

describe('a bucket of another shape', () => {
  it('without markers keeps them, and refuses keys that expire', async () => {
    const { kv, messages } = await setup();
    await kv.put('a', value);
    await kv.delete('a');
    expect(await messages()).toBe(1);
    await expect(kv.put('b', value, { ttlMs: 1_000 })).rejects.toMatchObject({
      code: 'KV_REFUSED',
      retry: 'never',
    });
  });

  it('without direct reads is read through its leader', async () => {
    const { kv } = await setup({ allow_direct: false });
    for (const key of ['a', 'b', 'c']) await kv.put(key, value);
    await kv.delete('b');
    expect([...(await kv.getMany(['a', 'b', 'c', 'd'])).keys()].sort()).toEqual(['a', 'c']);
  });

  it('with a history watches and lists the newest values only', async () => {
    const { kv } = await setup({ max_msgs_per_subject: 5 });
    for (let n = 1; n <= 3; n += 1) await kv.put('a', new TextEncoder().encode(`${n}`));
    const stop = new AbortController();
    const first: string[] = [];
    for await (const event of kv.watch({ signal: stop.signal })) {
      if (event.kind === 'put') first.push(new TextDecoder().decode(event.entry.value));
      if (event.kind === 'current') stop.abort();
    }
    expect(first).toEqual(['3']);
    expect(await all(kv.keys())).toEqual(['a']);
  });
});

describe('an idle watch', () => {
  it('is rarely told that it lives by a server of its own, and often while what is to come may not come', async () => {
    const { kv, stream } = await setup();
    const pulls = overheardPulls(connection, stream);
    const stop = new AbortController();
    const begin = () => kv.watch({ signal: stop.signal })[Symbol.asyncIterator]();
    expect(await begin().next()).toEqual({ done: false, value: { kind: 'current' } });
    await kv.put('a', value);
    expect(await begin().next()).toMatchObject({ value: { kind: 'put' } });
    await expect.poll(() => pulls.heartbeatsMs, POLL).toEqual([5_000, 500]);
    stop.abort();
    pulls.stop();
  });
});

describe('many keys', () => {
  it('are written and read in bulk, each with its own outcome', async () => {
    const { kv } = await setup();
    await kv.put('key-3', value);
    const entries = Array.from({ length: 1_500 }, (_, n) => ({
      key: `key-${n}`,
      value: new TextEncoder().encode(`${n}`),
      options: { expectedRevision: 0 },
    }));
    const outcomes = await kv.putMany(entries);
    expect(outcomes.filter(({ kind }) => kind === 'conflict')).toHaveLength(1);
    expect(outcomes[3]).toEqual({ kind: 'conflict', actualRevision: 1 });
    const read = await kv.getMany(entries.map(({ key }) => key));
    expect(read.size).toBe(1_500);
    expect(new TextDecoder().decode(read.get('key-1499')?.value)).toBe('1499');
    const buffer = read.get('key-7')?.value.buffer;
    expect(buffer?.byteLength).toBe(1);
  });
});

describe('many keys that expect a revision', () => {
  const puts = (count: number, expectedRevision = 0) =>
    Array.from({ length: count }, (_, n) => ({
      key: `key-${n}`,
      value: new TextEncoder().encode(`${n} at ${expectedRevision}`),
      options: { expectedRevision },
    }));
  const open = (stream: string, over = connection): KeyValue =>
    openKeyValue(over, {
      bucket: stream.slice('KV_'.length),
      groupCommit: 'always',
      patience: { attemptMs: 300, withinMs: 10_000 },
    });
  /** Whether a key was stored as part of a batch: the broker keeps the headers, which no port shows. */
  const isOfBatch = async (stream: string, key: string): Promise<boolean> => {
    const query = JSON.stringify({ last_by_subj: `$${stream.replace('_', '.')}.${key}` });
    const answer = await connection.nc.request(`$JS.API.STREAM.MSG.GET.${stream}`, query);
    const { message } = answer.json<{ readonly message: { readonly hdrs: string } }>();
    return Buffer.from(message.hdrs, 'base64').toString().includes('Nats-Batch-Id');
  };

  it('are one batch, with revisions in their order', async () => {
    const { stream } = await setup({ allow_atomic: true });
    const outcomes = await open(stream).putMany(puts(30));
    expect(outcomes).toEqual(Array.from({ length: 30 }, (_, n) => ({ kind: 'stored', revision: n + 1 })));
    expect(await isOfBatch(stream, 'key-3')).toBe(true);
  });

  it('do not spoil one another: where one conflicts the others are stored', async () => {
    const { stream, messages } = await setup({ allow_atomic: true });
    const kv = open(stream);
    await kv.put('key-7', value);
    const outcomes = await kv.putMany(puts(30));
    expect(outcomes[7]).toEqual({ kind: 'conflict', actualRevision: 1 });
    expect(outcomes.filter(({ kind }) => kind === 'stored')).toHaveLength(29);
    expect(await messages()).toBe(30);
    expect(new TextDecoder().decode((await kv.get('key-7'))?.value)).toBe('{}');
  });

  it('are stored once when the answer is lost, and known as ours', async () => {
    const { stream, kv: facts } = await setup({ allow_atomic: true });
    const broker = await testBroker();
    await using proxy = await lossyProxy(broker.url);
    const over = await connectTo({ ...broker, urls: [proxy.url] });
    const kv = open(stream, over);
    await kv.put('before', value);
    proxy.swallow();
    const writing = kv.putMany(puts(30));
    await expect.poll(async () => (await facts.get('key-29'))?.revision, POLL).toBe(31);
    proxy.pass();
    const outcomes = await writing;
    expect(outcomes).toEqual(Array.from({ length: 30 }, (_, n) => ({ kind: 'stored', revision: n + 2 })));
    await over.close();
  });

  it('go one by one into a bucket that takes no batches', async () => {
    const { stream } = await setup();
    const outcomes = await open(stream).putMany(puts(30));
    expect(outcomes.every(({ kind }) => kind === 'stored')).toBe(true);
    expect(await isOfBatch(stream, 'key-3')).toBe(false);
  });
});

describe('a bucket that is not provisioned', () => {
  it('is a fault that no retry can mend', async () => {
    const kv = openKeyValue(connection, { bucket: freshName('missing') });
    const missing = { code: 'KV_MISSING', retry: 'never' };
    await expect(kv.put('a', value)).rejects.toMatchObject(missing);
    await expect(kv.get('a')).rejects.toMatchObject(missing);
    await expect(kv.getMany(['a'])).rejects.toMatchObject(missing);
    await expect(kv.delete('a')).rejects.toMatchObject(missing);
    await expect(kv.watch()[Symbol.asyncIterator]().next()).rejects.toMatchObject(missing);
    await expect(kv.keys()[Symbol.asyncIterator]().next()).rejects.toMatchObject(missing);
  });
});
