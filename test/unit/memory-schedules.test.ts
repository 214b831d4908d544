// Schedules and lifetimes of entries in the memory broker.
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { describe, expect, it } from 'vitest';

const START_MS = 1_900_000_000_000;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (entry: StoredEntry | undefined): string => new TextDecoder().decode(entry?.body);

const setUp = () => {
  const clock = createManualClock(START_MS);
  const broker = createMemoryBroker({
    clock,
    ids: createSeededIds(1, clock),
    topology: {
      streams: [
        { name: 'TIMERS', subjects: ['timer.>'], allowSchedules: true, allowMessageTtl: true },
        { name: 'PLAIN', subjects: ['plain.>'] },
      ],
    },
  });
  return { clock, broker, log: broker.eventLog('TIMERS') };
};

/** A time as a schedule wants it, in whole seconds. */
const at = (ms: number): string =>
  `@at ${new Intl.DateTimeFormat('sv', {
    timeZone: 'UTC',
    dateStyle: 'short',
    timeStyle: 'medium',
  })
    .format(START_MS + ms)
    .replace(' ', 'T')}Z`;

let ids = 0;
const set = (log: EventLog, name: string, afterMs: number, more: Record<string, string> = {}) =>
  log.append({
    subject: `timer.set.${name}`,
    id: `set-${name}-${(ids += 1)}`,
    headers: {
      'Nats-Schedule': at(afterMs),
      'Nats-Schedule-Target': `timer.fire.${name}`,
      'X-Own': 'kept',
      ...more,
    },
    body: bytes(`${name} at ${afterMs}`),
  });

describe('schedules in memory', () => {
  it('ring at their time into their target, with body and own headers, and are gone', async () => {
    const { clock, log } = setUp();
    await set(log, 'a', 60_000);
    await clock.advance(59_999);
    expect(await log.last('timer.fire.a')).toBeUndefined();
    await clock.advance(1);
    const rung = await log.last('timer.fire.a');
    expect(text(rung)).toBe('a at 60000');
    expect(rung?.headers).toEqual({
      'X-Own': 'kept',
      'Nats-Scheduler': 'timer.set.a',
      'Nats-Schedule-Next': 'purge',
    });
    expect(rung?.storedAt).toBe(START_MS + 60_000);
    expect(await log.last('timer.set.a')).toBeUndefined();
    expect(await log.bounds()).toMatchObject({ firstSeq: 2, lastSeq: 2, entries: 1 });
  });

  it('reach a durable consumer of the target', async () => {
    const { clock, broker, log } = setUp();
    broker.declareConsumer({ stream: 'TIMERS', name: 'rung', filterSubjects: ['timer.fire.>'] });
    const abort = new AbortController();
    const queue = broker.workQueue('TIMERS', 'rung').batches({ max: 10, signal: abort.signal });
    await set(log, 'b', 2_000);
    await set(log, 'a', 1_000);
    const next = queue[Symbol.asyncIterator]().next();
    await clock.advance(5_000);
    const step = await next;
    expect(step.done === true ? [] : step.value.map((delivery) => text(delivery.entry))).toEqual([
      'a at 1000',
    ]);
    abort.abort();
  });

  it('ring at once when their time has passed', async () => {
    const { clock, log } = setUp();
    await set(log, 'late', -60_000);
    await clock.settle();
    await clock.advance(0);
    expect(text(await log.last('timer.fire.late'))).toBe('late at -60000');
  });

  it('are replaced by the next schedule on their subject', async () => {
    const { clock, log } = setUp();
    await set(log, 'a', 10_000);
    await set(log, 'a', 20_000);
    expect(await log.bounds()).toMatchObject({ entries: 1 });
    await clock.advance(15_000);
    expect(await log.last('timer.fire.a')).toBeUndefined();
    await clock.advance(5_000);
    expect(text(await log.last('timer.fire.a'))).toBe('a at 20000');
  });

  it('are cancelled by a plain entry on their subject, and by an entry that names them', async () => {
    const { clock, log } = setUp();
    await set(log, 'a', 1_000);
    const { seq } = (await log.last('timer.set.a')) ?? { seq: -1 };
    await log.append({ subject: 'timer.set.a', id: 'off-a', headers: {}, body: bytes(''), expectedSeq: seq });
    await set(log, 'b', 1_000);
    const headers = { 'Nats-Scheduler': 'timer.set.b', 'Nats-Schedule-Next': 'purge' };
    await log.append({ subject: 'timer.cancelled.b', id: 'off-b', headers, body: bytes('') });
    expect(await log.last('timer.set.b')).toBeUndefined();
    await clock.advance(10_000);
    expect(await log.last('timer.fire.a')).toBeUndefined();
    expect(await log.last('timer.fire.b')).toBeUndefined();
  });

  it('ring by the wall clock: a jump back makes them later', async () => {
    const { clock, log } = setUp();
    await set(log, 'a', 10_000);
    clock.jumpWall(-5_000);
    await clock.advance(10_000);
    expect(await log.last('timer.fire.a')).toBeUndefined();
    await clock.advance(5_000);
    expect(await log.last('timer.fire.a')).toBeDefined();
  });

  it('ring while the broker is away, as they do after its restart', async () => {
    const { clock, broker, log } = setUp();
    await set(log, 'a', 1_000);
    broker.faults.goAway();
    await clock.advance(5_000);
    broker.faults.comeBack();
    expect(await log.last('timer.fire.a')).toBeDefined();
  });

  it('take part in a batch: all or nothing', async () => {
    const { clock, log } = setUp();
    const schedule = {
      subject: 'timer.set.a',
      id: 's1',
      headers: { 'Nats-Schedule': at(1_000), 'Nats-Schedule-Target': 'timer.fire.a' },
      body: bytes('x'),
    };
    const guard = { subject: 'timer.guard', id: 'g1', headers: {}, body: bytes(''), expectedSeq: 7 };
    expect(await log.appendTogether([schedule, guard])).toMatchObject({ kind: 'conflict' });
    await clock.advance(2_000);
    expect(await log.bounds()).toMatchObject({ entries: 0, lastSeq: 0 });
  });

  it('are refused where the stream, the time or the target does not allow them', async () => {
    const { broker, log } = setUp();
    const fault = { code: 'LOG_REFUSED', retry: 'never' };
    for (const headers of [
      { 'Nats-Schedule': '@every 5m', 'Nats-Schedule-Target': 'timer.fire.a' },
      { 'Nats-Schedule': '@at tomorrow', 'Nats-Schedule-Target': 'timer.fire.a' },
      { 'Nats-Schedule': at(1_000), 'Nats-Schedule-Target': 'plain.a' },
      { 'Nats-Schedule': at(1_000), 'Nats-Schedule-Target': 'timer.set.a' },
      { 'Nats-Schedule': at(1_000), 'Nats-Schedule-Target': 'timer.*' },
      { 'Nats-Schedule': at(1_000) },
      { 'Nats-TTL': '0' },
      { 'Nats-TTL': 'soon' },
    ])
      await expect(
        log.append({ subject: 'timer.set.a', id: 'x', headers, body: bytes('') }),
      ).rejects.toMatchObject(fault);
    const plain = broker.eventLog('PLAIN');
    for (const headers of [
      { 'Nats-Schedule': at(1_000), 'Nats-Schedule-Target': 'plain.b' },
      { 'Nats-TTL': '60' },
    ])
      await expect(
        plain.append({ subject: 'plain.a', id: 'x', headers, body: bytes('') }),
      ).rejects.toMatchObject(fault);
  });

  it('hand the lifetime of what rings on, and entries with a lifetime are dropped after it', async () => {
    const { clock, log } = setUp();
    await set(log, 'a', 1_000, { 'Nats-Schedule-TTL': '5m' });
    await clock.advance(1_000);
    expect((await log.last('timer.fire.a'))?.headers['Nats-TTL']).toBe('5m');
    await clock.advance(299_999);
    expect(await log.last('timer.fire.a')).toBeDefined();
    await clock.advance(1);
    expect(await log.last('timer.fire.a')).toBeUndefined();
  });
});
