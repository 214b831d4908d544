// What a memory broker holds and for how long: limits of streams, duplicate windows, markers, what is not declared.
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import type { StreamShape } from '#libs/memory/definitions.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { EventLog, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import { topologyOf } from '#streams/consumers.ts';
import { describe, expect, it } from 'vitest';

const entry = (id: string, more: Partial<NewEntry> = {}): NewEntry => ({
  subject: 'log.run',
  id,
  headers: {},
  body: new Uint8Array(100),
  ...more,
});

const setUp = (
  shape: Partial<StreamShape> = {},
): { clock: ManualClock; broker: MemoryBroker; log: EventLog } => {
  const clock = createManualClock();
  const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
  broker.declareStream({ name: 'LOG', subjects: ['log.>'], ...shape });
  return { clock, broker, log: broker.eventLog('LOG') };
};

const idsOf = async (source: AsyncIterable<StoredEntry>): Promise<(string | undefined)[]> => {
  const ids: (string | undefined)[] = [];
  for await (const stored of source) ids.push(stored.headers['Nats-Msg-Id']);
  return ids;
};

describe('limits of a stream in memory', () => {
  it('drop entries over their age, and sequences go on', async () => {
    const { clock, log } = setUp({ maxAgeMs: 60_000 });
    await log.append(entry('a'));
    await clock.advance(40_000);
    await log.append(entry('b', { subject: 'log.other' }));
    await clock.advance(30_000);
    expect(await log.bounds()).toMatchObject({ firstSeq: 2, lastSeq: 2, entries: 1 });
    expect(await log.last('log.run')).toBeUndefined();
    expect(await idsOf(log.read('log.run'))).toEqual([]);
    expect(await idsOf(log.replay())).toEqual(['b']);
    await clock.advance(60_000);
    expect(await log.bounds()).toEqual({ firstSeq: 3, lastSeq: 2, entries: 0, bytes: 0 });
    expect(await log.append(entry('c', { expectedSeq: 0 }))).toMatchObject({ kind: 'appended', seq: 3 });
  });

  it('drop the oldest entries over the bytes', async () => {
    const { log } = setUp({ maxBytes: 1_000 });
    for (let n = 0; n < 20; n += 1) await log.append(entry(`e${n}`));
    const bounds = await log.bounds();
    expect(bounds.bytes).toBeLessThanOrEqual(1_000);
    expect(bounds.entries).toBeGreaterThan(4);
    expect(bounds.firstSeq).toBe(21 - bounds.entries);
    expect(await idsOf(log.replay())).toHaveLength(bounds.entries);
  });

  it('refuse what is over the bytes, for now, where new entries are to be refused', async () => {
    const { log } = setUp({ maxBytes: 300, discard: 'new' });
    await log.append(entry('a'));
    const full = { name: 'Fault', code: 'LOG_FULL', retry: 'later' };
    await expect(log.appendTogether([entry('b'), entry('c')])).rejects.toMatchObject(full);
    await log.append(entry('b'));
    await expect(log.append(entry('c'))).rejects.toMatchObject(full);
    expect(await log.bounds()).toMatchObject({ entries: 2 });
    expect(await log.append(entry('a'))).toMatchObject({ duplicate: true });
  });

  it('do not count dropped entries as work to be done', async () => {
    const { clock, broker, log } = setUp({ maxAgeMs: 60_000 });
    broker.declareConsumer({ stream: 'LOG', name: 'work' });
    const queue = broker.workQueue('LOG', 'work');
    for (const id of ['a', 'b']) await log.append(entry(id));
    expect(await queue.backlog()).toMatchObject({ pending: 2 });
    await clock.advance(61_000);
    await log.append(entry('c'));
    expect(await queue.backlog()).toMatchObject({ pending: 1 });
    const abort = new AbortController();
    const step = await queue.batches({ max: 10, signal: abort.signal })[Symbol.asyncIterator]().next();
    expect(step.done === true ? [] : step.value.map((delivery) => delivery.entry.seq)).toEqual([3]);
  });

  it('let a follower that was outrun go on with the oldest that is left', async () => {
    const { log } = setUp({ maxBytes: 1_000 });
    await log.append(entry('a'));
    const follower = log.replay({ follow: true })[Symbol.asyncIterator]();
    await follower.next();
    for (let n = 0; n < 20; n += 1) await log.append(entry(`e${n}`));
    const step = await follower.next();
    expect(step.done === true ? undefined : step.value.seq).toBe((await log.bounds()).firstSeq);
    await follower.return?.();
  });
});

describe('the duplicate window in memory', () => {
  it('ends after its time, and a repeat does not extend it', async () => {
    const { clock, log } = setUp({ duplicateWindowMs: 10_000 });
    await log.append(entry('a'));
    await clock.advance(9_000);
    expect(await log.append(entry('a'))).toMatchObject({ seq: 1, duplicate: true });
    await clock.advance(1_000);
    expect(await log.append(entry('a'))).toMatchObject({ seq: 2, duplicate: false });
    expect(await log.append(entry('a'))).toMatchObject({ seq: 2, duplicate: true });
  });

  it('is not needed to tell the repeat of a batch that had expectations', async () => {
    const { clock, log } = setUp({ duplicateWindowMs: 10_000 });
    const batch = [entry('a', { expectedSeq: 0 }), entry('b', { subject: 'log.b' })];
    await log.appendTogether(batch);
    await log.append(entry('c', { expectedSeq: 1 }));
    await clock.advance(20_000);
    expect(await log.appendTogether(batch)).toEqual({ kind: 'appended', seqs: [1, 2], duplicate: true });
    const other = [entry('x', { expectedSeq: 0 }), entry('y')];
    expect(await log.appendTogether(other)).toMatchObject({ kind: 'conflict', actualSeq: 3 });
  });
});

describe('buckets in memory', () => {
  it('forget the marker of an expired key after its time', async () => {
    const { clock, broker } = setUp();
    broker.declareBucket({ name: 'leases', markerTtlMs: 60_000 });
    const kv = broker.keyValue('leases');
    await kv.put('a', new Uint8Array(), { ttlMs: 1_000 });
    await clock.advance(1_000);
    expect(await kv.put('a', new Uint8Array(), { expectedRevision: 1 })).toEqual({
      kind: 'conflict',
      actualRevision: 2,
    });
    await clock.advance(60_000);
    expect(await kv.put('a', new Uint8Array(), { expectedRevision: 1 })).toEqual({
      kind: 'conflict',
      actualRevision: 0,
    });
    expect(clock.pendingTimers()).toBe(0);
  });

  it('take no lifetime where no markers are declared', async () => {
    const { broker } = setUp();
    broker.declareBucket({ name: 'runs' });
    const put = broker.keyValue('runs').put('a', new Uint8Array(), { ttlMs: 1_000 });
    await expect(put).rejects.toMatchObject({ code: 'KV_REFUSED', retry: 'never' });
  });

  it('expire by monotonic time, whatever the wall clock does', async () => {
    const { clock, broker } = setUp();
    broker.declareBucket({ name: 'leases', markerTtlMs: 60_000 });
    const kv = broker.keyValue('leases');
    await kv.put('a', new Uint8Array(), { ttlMs: 10_000 });
    clock.jumpWall(3_600_000);
    await clock.advance(9_999);
    expect(await kv.get('a')).toBeDefined();
    await clock.advance(1);
    expect(await kv.get('a')).toBeUndefined();
  });
});

describe('what is declared', () => {
  it('can be the whole topology of a deployment', async () => {
    const clock = createManualClock();
    const agents = [{ tenant: 'acme', project: 'web', agent: 'builder-1' }];
    const topology = topologyOf({ replicas: 3, agents });
    const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock), topology });
    for (const { name } of topology.streams)
      expect(await broker.eventLog(name).bounds()).toMatchObject({ entries: 0 });
    for (const { name } of topology.buckets) expect(await broker.keyValue(name).get('a')).toBeUndefined();
    for (const { stream, name } of topology.consumers)
      expect(await broker.workQueue(stream, name).backlog()).toEqual({ pending: 0, unacknowledged: 0 });
    for (const { name } of topology.objectStores)
      expect(await broker.blobs(name).get(`sha256-${'0'.repeat(64)}`)).toBeUndefined();
  });

  it('can be a consumer of a bucket: the newest record of each key, its revision as sequence', async () => {
    const clock = createManualClock();
    const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
    broker.declareBucket({ name: 'owed', markerTtlMs: 60_000 });
    broker.declareConsumer({ stream: 'KV_owed', name: 'watch', filterSubjects: ['$KV.owed.t.*'] });
    const kv = broker.keyValue('owed');
    await kv.put('t.a', Uint8Array.of(1));
    await kv.put('other.b', Uint8Array.of(2));
    await kv.put('t.a', Uint8Array.of(3), { ttlMs: 1000 });
    expect(await broker.workQueue('KV_owed', 'watch').backlog()).toEqual({ pending: 1, unacknowledged: 0 });
    const log = broker.eventLog('KV_owed');
    expect(await log.lastSeen('$KV.owed.t.a')).toMatchObject({ seq: 3, body: Uint8Array.of(3) });
    await clock.advance(1000);
    expect(await log.lastSeen('$KV.owed.t.a')).toMatchObject({
      seq: 4,
      headers: { 'Nats-Marker-Reason': 'MaxAge' },
    });
    expect(() => {
      broker.declareBucket({ name: 'late' });
      void broker.keyValue('late').put('a', Uint8Array.of(1));
      broker.declareConsumer({ stream: 'KV_late', name: 'watch' });
    }).toThrow(/before its first write/);
  });

  it('keeps what is there when it is declared again', async () => {
    const { broker, log } = setUp();
    broker.declareConsumer({ stream: 'LOG', name: 'work' });
    await log.append(entry('a'));
    broker.declare({
      streams: [{ name: 'LOG', subjects: ['log.>'] }],
      consumers: [{ stream: 'LOG', name: 'work' }],
    });
    expect(await log.bounds()).toMatchObject({ entries: 1 });
    expect(await broker.workQueue('LOG', 'work').backlog()).toMatchObject({ pending: 1 });
  });

  it('starts a consumer with what is there, or with what is new', async () => {
    const { broker, log } = setUp();
    await log.append(entry('a'));
    broker.declareConsumer({ stream: 'LOG', name: 'all' });
    broker.declareConsumer({ stream: 'LOG', name: 'new', deliver: 'new' });
    await log.append(entry('b'));
    expect(await broker.workQueue('LOG', 'all').backlog()).toMatchObject({ pending: 2 });
    expect(await broker.workQueue('LOG', 'new').backlog()).toMatchObject({ pending: 1 });
  });

  it('is missing, for ever, until somebody declares it', async () => {
    const clock = createManualClock();
    const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
    const { signal } = new AbortController();
    const log = broker.eventLog('LOG');
    const attempts: [string, () => Promise<unknown>][] = [
      ['LOG_MISSING', () => log.append(entry('a'))],
      ['LOG_MISSING', () => log.bounds()],
      ['LOG_MISSING', () => log.replay()[Symbol.asyncIterator]().next()],
      ['LOG_MISSING', () => log.replay({ follow: true })[Symbol.asyncIterator]().next()],
      ['KV_MISSING', () => broker.keyValue('runs').get('a')],
      ['KV_MISSING', () => broker.keyValue('runs').watch()[Symbol.asyncIterator]().next()],
      ['QUEUE_MISSING', () => broker.workQueue('LOG', 'work').backlog()],
      [
        'QUEUE_MISSING',
        () => broker.workQueue('LOG', 'work').batches({ max: 1, signal })[Symbol.asyncIterator]().next(),
      ],
      ['BLOBS_MISSING', () => broker.blobs('bodies').put(new Uint8Array())],
    ];
    for (const [code, attempt] of attempts)
      await expect(attempt()).rejects.toMatchObject({ code, retry: 'never' });
    const { outcome } = await broker.publisher().publish(entry('a'));
    expect(await outcome).toMatchObject({ kind: 'refused', code: 'LOG_MISSING' });
    broker.declareStream({ name: 'LOG', subjects: ['log.>'] });
    expect(await log.append(entry('a'))).toMatchObject({ kind: 'appended', seq: 1 });
  });
});
