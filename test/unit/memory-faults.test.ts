// The faults that a memory broker can be told to have, and how the ports behave under them.
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { WatchEvent } from '#libs/ports/key-value.ts';
import type { Delivery } from '#libs/ports/work-queue.ts';
import { describe, expect, it } from 'vitest';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const entry = (id: string, expectedSeq?: number): NewEntry => ({
  subject: 'log.run',
  id,
  headers: {},
  body: bytes(id),
  ...(expectedSeq !== undefined && { expectedSeq }),
});

const setUp = (): { clock: ManualClock; broker: MemoryBroker } => {
  const clock = createManualClock();
  const broker = createMemoryBroker({
    clock,
    ids: createSeededIds(1, clock),
    topology: {
      streams: [{ name: 'LOG', subjects: ['log.>'] }],
      buckets: [{ name: 'leases', markerTtlMs: 60_000 }],
      consumers: [{ stream: 'LOG', name: 'work', ackWaitMs: 1_000 }],
      objectStores: [{ name: 'bodies' }],
    },
  });
  return { clock, broker };
};

/** Collects what comes until the test ends. */
const collect = <T>(source: AsyncIterable<T>): T[] => {
  const seen: T[] = [];
  void (async () => {
    for await (const one of source) seen.push(one);
  })();
  return seen;
};

const unreachable = (code: string) => ({ name: 'Fault', code, retry: 'later' });
const lines = (events: readonly WatchEvent[]): string[] =>
  events.map((event) => (event.kind === 'put' ? new TextDecoder().decode(event.entry.value) : event.kind));
const idsOf = (deliveries: readonly Delivery[]): string[] =>
  deliveries.map(({ entry: { headers }, attempt }) => `${headers['Nats-Msg-Id']}#${attempt}`);

describe('appends under faults', () => {
  it('are stored when only their acknowledgement is lost, and a retry says so', async () => {
    const { broker } = setUp();
    const log = broker.eventLog('LOG');
    broker.faults.plan({ loseAppendAck: (nth) => nth === 1 });
    await expect(log.append(entry('a', 0))).rejects.toMatchObject(unreachable('LOG_UNAVAILABLE'));
    expect(await log.append(entry('a', 0))).toEqual({ kind: 'appended', seq: 1, duplicate: true });
    const batch = [entry('b', 1), entry('c')];
    broker.faults.plan({ loseAppendAck: (nth) => nth === 1 });
    await expect(log.appendTogether(batch)).rejects.toMatchObject(unreachable('LOG_UNAVAILABLE'));
    expect(await log.appendTogether(batch)).toEqual({ kind: 'appended', seqs: [2, 3], duplicate: true });
  });

  it('are not stored when they are lost on their way in', async () => {
    const { broker } = setUp();
    const log = broker.eventLog('LOG');
    broker.faults.plan({ dropAppend: (nth) => nth === 1 });
    await expect(log.append(entry('a'))).rejects.toMatchObject(unreachable('LOG_UNAVAILABLE'));
    expect(await log.bounds()).toMatchObject({ entries: 0 });
    expect(await log.append(entry('a'))).toMatchObject({ kind: 'appended', duplicate: false });
  });

  it('take effect at once when their acknowledgement is late', async () => {
    const { clock, broker } = setUp();
    const log = broker.eventLog('LOG');
    broker.faults.plan({ appendAckDelayMs: () => 500 });
    let isDone = false;
    const append = log.append(entry('a')).finally(() => {
      isDone = true;
    });
    await clock.advance(499);
    expect([isDone, (await log.bounds()).entries]).toEqual([false, 1]);
    await clock.advance(1);
    await append;
    expect(isDone).toBe(true);
  });
});

describe('a broker that is away', () => {
  it('is unreachable for every port, and stores nothing', async () => {
    const { broker } = setUp();
    const log = broker.eventLog('LOG');
    const kv = broker.keyValue('leases');
    broker.faults.goAway();
    expect(broker.faults.isAway).toBe(true);
    const attempts: [string, () => Promise<unknown>][] = [
      ['LOG_UNAVAILABLE', () => log.append(entry('a'))],
      ['LOG_UNAVAILABLE', () => log.appendTogether([entry('a')])],
      ['LOG_UNAVAILABLE', () => log.last('log.run')],
      ['LOG_UNAVAILABLE', () => log.bounds()],
      ['LOG_UNAVAILABLE', () => log.read('log.run')[Symbol.asyncIterator]().next()],
      ['LOG_UNAVAILABLE', () => log.replay()[Symbol.asyncIterator]().next()],
      ['KV_UNAVAILABLE', () => kv.get('a')],
      ['KV_UNAVAILABLE', () => kv.getMany([])],
      ['KV_UNAVAILABLE', () => kv.put('a', bytes('1'))],
      ['KV_UNAVAILABLE', () => kv.putMany([{ key: 'a', value: bytes('1') }])],
      ['KV_UNAVAILABLE', () => kv.delete('a')],
      ['KV_UNAVAILABLE', () => kv.keys()[Symbol.asyncIterator]().next()],
      ['QUEUE_UNAVAILABLE', () => broker.workQueue('LOG', 'work').backlog()],
      ['BLOBS_UNAVAILABLE', () => broker.blobs('bodies').put(bytes('a'))],
      ['BLOBS_UNAVAILABLE', () => broker.blobs('bodies').get(`sha256-${'0'.repeat(64)}`)],
      ['REQUEST_UNAVAILABLE', () => broker.requests.request('ask', bytes(''), { timeoutMs: 1 })],
    ];
    for (const [code, attempt] of attempts) await expect(attempt()).rejects.toMatchObject(unreachable(code));
    const { outcome } = await broker.publisher().publish(entry('a'));
    expect(await outcome).toMatchObject({ kind: 'unreachable' });
    broker.faults.comeBack();
    expect(await log.bounds()).toMatchObject({ entries: 0 });
    expect(await kv.get('a')).toBeUndefined();
  });

  it('lets a following replay, a watch and a taker go on where they were', async () => {
    const { clock, broker } = setUp();
    const log = broker.eventLog('LOG');
    const kv = broker.keyValue('leases');
    const replayed = collect(log.replay({ follow: true }));
    const events = collect(kv.watch());
    const { signal } = new AbortController();
    const batches = collect(broker.workQueue('LOG', 'work').batches({ max: 10, signal }));
    await log.append(entry('a'));
    await kv.put('k', bytes('1'), { ttlMs: 1_000 });
    await clock.settle();
    batches.flat()[0]?.ack();
    broker.faults.goAway();
    await clock.advance(5_000);
    expect([replayed.length, lines(events), idsOf(batches.flat())]).toEqual([1, ['current', '1'], ['a#1']]);
    broker.faults.comeBack();
    await log.append(entry('b'));
    await clock.settle();
    expect(replayed.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(lines(events)).toEqual(['current', '1', 'expired']);
    expect(idsOf(batches.flat())).toEqual(['a#1', 'b#1']);
  });

  it('can be waited for by those who start while it is away', async () => {
    const { clock, broker } = setUp();
    await broker.eventLog('LOG').append(entry('a'));
    broker.faults.goAway();
    const { signal } = new AbortController();
    const replayed = collect(broker.eventLog('LOG').replay({ follow: true }));
    const events = collect(broker.keyValue('leases').watch());
    const batches = collect(broker.workQueue('LOG', 'work').batches({ max: 1, signal }));
    await clock.settle();
    expect([replayed, events, batches]).toEqual([[], [], []]);
    broker.faults.comeBack();
    await clock.settle();
    expect([replayed.length, lines(events), idsOf(batches.flat())]).toEqual([1, ['current'], ['a#1']]);
  });

  it('loses the acknowledgements that are sent meanwhile', async () => {
    const { clock, broker } = setUp();
    await broker.eventLog('LOG').append(entry('a'));
    const { signal } = new AbortController();
    const batches = collect(broker.workQueue('LOG', 'work').batches({ max: 1, signal }));
    await clock.settle();
    broker.faults.goAway();
    batches.flat()[0]?.ack();
    broker.faults.comeBack();
    await clock.advance(1_000);
    expect(idsOf(batches.flat())).toEqual(['a#1', 'a#2']);
  });
});

describe('deliveries under faults', () => {
  const start = async (ids: readonly string[]) => {
    const { clock, broker } = setUp();
    for (const id of ids) await broker.eventLog('LOG').append(entry(id));
    const { signal } = new AbortController();
    const batches = collect(broker.workQueue('LOG', 'work').batches({ max: 10, signal }));
    await clock.settle();
    return { clock, broker, deliveries: () => batches.flat() };
  };

  it('come again after the ack wait when their acknowledgement is lost', async () => {
    const { clock, broker, deliveries } = await start(['a', 'b']);
    broker.faults.plan({ loseDeliveryAck: (nth) => nth === 1 });
    for (const delivery of deliveries()) delivery.ack();
    await clock.advance(1_000);
    expect(idsOf(deliveries())).toEqual(['a#1', 'b#1', 'a#2']);
  });

  it('come again at once as a first attempt when their acknowledgement is forgotten', async () => {
    const { clock, broker, deliveries } = await start(['a', 'b']);
    broker.faults.plan({ forgetDeliveryAck: (nth) => nth === 2 });
    for (const delivery of deliveries()) delivery.ack();
    await clock.settle();
    expect(idsOf(deliveries())).toEqual(['a#1', 'b#1', 'b#1']);
  });

  it('come again, the newest of them, after a crash of the broker', async () => {
    const { clock, broker, deliveries } = await start(['a', 'b', 'c', 'd']);
    const [a, b, c] = deliveries();
    for (const delivery of [a, b, c]) delivery?.ack();
    broker.faults.crash(2);
    await clock.settle();
    expect(idsOf(deliveries())).toEqual(['a#1', 'b#1', 'c#1', 'd#1', 'b#1', 'c#1']);
    expect(await broker.workQueue('LOG', 'work').backlog()).toEqual({ pending: 0, unacknowledged: 3 });
  });

  it('are given up silently after the deliveries that the consumer allows', async () => {
    const { clock, broker } = setUp();
    broker.declareConsumer({ stream: 'LOG', name: 'twice', ackWaitMs: 1_000, maxDeliver: 2 });
    await broker.eventLog('LOG').append(entry('a'));
    const { signal } = new AbortController();
    const batches = collect(broker.workQueue('LOG', 'twice').batches({ max: 10, signal }));
    await clock.advance(10_000);
    expect(idsOf(batches.flat())).toEqual(['a#1', 'a#2']);
    expect(await broker.workQueue('LOG', 'twice').backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });
});

describe('buckets and requests under faults', () => {
  it('have written a key when only the acknowledgement is lost', async () => {
    const { broker } = setUp();
    const kv = broker.keyValue('leases');
    broker.faults.plan({ loseWriteAck: (nth) => nth === 1 });
    await expect(kv.put('a', bytes('1'), { expectedRevision: 0 })).rejects.toMatchObject(
      unreachable('KV_UNAVAILABLE'),
    );
    expect((await kv.get('a'))?.revision).toBe(1);
    expect(await kv.put('a', bytes('1'), { expectedRevision: 0 })).toEqual({
      kind: 'conflict',
      actualRevision: 1,
    });
  });

  it('tell a watcher late, and in order', async () => {
    const { clock, broker } = setUp();
    const kv = broker.keyValue('leases');
    const delays = [0, 300, 0];
    broker.faults.plan({ watchDelayMs: (nth) => delays[nth - 1] ?? 0 });
    const events = collect(kv.watch());
    await clock.settle();
    await kv.put('a', bytes('1'));
    await kv.put('b', bytes('2'));
    await clock.advance(299);
    expect(lines(events)).toEqual(['current']);
    await clock.advance(1);
    expect(lines(events)).toEqual(['current', '1', '2']);
  });

  it('do the work of a request whose answer is lost', async () => {
    const { broker } = setUp();
    let served = 0;
    broker.requests.serve('ask', 'group', async () => {
      served += 1;
      return { body: bytes('') };
    });
    broker.faults.plan({ loseAnswer: () => true });
    const asked = broker.requests.request('ask', bytes(''), { timeoutMs: 1_000 });
    await expect(asked).rejects.toMatchObject(unreachable('REQUEST_UNANSWERED'));
    expect(served).toBe(1);
  });
});
