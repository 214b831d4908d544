// Plans of faults from a seed, and what goes late, lost or twice by them; and those who look on.
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { seededFaultPlan } from '#libs/memory/faults.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import { describe, expect, it } from 'vitest';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const entry = (id: string): NewEntry => ({ subject: 'log.run', id, headers: {}, body: bytes(id) });

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

describe('a seeded fault plan', () => {
  const place = { name: 'LOG' };
  type Plan = ReturnType<typeof seededFaultPlan>;
  const ask = (plan: Plan, question: keyof Plan, times: number): (boolean | number | undefined)[] =>
    Array.from({ length: times }, (_, n) => plan[question]?.(n, place));
  const draw = (seed: number, rates: Parameters<typeof seededFaultPlan>[1]) => {
    const plan = seededFaultPlan(seed, rates);
    return [...ask(plan, 'loseAppendAck', 50), ...ask(plan, 'watchDelayMs', 50)];
  };

  it('decides the same for the same seed, and otherwise for another', () => {
    const rates = { loseAppendAck: 0.3, maxWatchDelayMs: 100 };
    expect(draw(1, rates)).toEqual(draw(1, rates));
    expect(draw(1, rates)).not.toEqual(draw(2, rates));
  });

  it('keeps to its rates, and to none where none is given', () => {
    const plan = seededFaultPlan(4, { loseAppendAck: 0.2, maxAppendAckDelayMs: 50 });
    const lost = ask(plan, 'loseAppendAck', 5_000).filter(Boolean).length;
    expect(lost).toBeGreaterThan(850);
    expect(lost).toBeLessThan(1_150);
    const delays = ask(plan, 'appendAckDelayMs', 1_000).map(Number);
    expect([Math.min(...delays), Math.max(...delays)]).toEqual([0, 50]);
    expect([plan.dropAppend, plan.watchDelayMs]).toEqual([undefined, undefined]);
  });

  it('delays a share of what may be late, when it says so', () => {
    const plan = seededFaultPlan(4, { maxReplayDelayMs: 1_000, delayed: 0.25 });
    const late = ask(plan, 'replayDelayMs', 4_000).filter((delayMs) => delayMs !== 0).length;
    expect(late).toBeGreaterThan(800);
    expect(late).toBeLessThan(1_200);
  });
});

describe('more faults', () => {
  it('a follower gets an entry late, and nobody else does', async () => {
    const { broker, clock } = setUp();
    const log = broker.eventLog('LOG');
    broker.faults.plan({ replayDelayMs: () => 300 });
    const seen = collect(log.replay({ follow: true }));
    await log.append(entry('a'));
    await clock.settle();
    expect(seen.length).toBe(0);
    expect((await log.last('log.run'))?.seq).toBe(1);
    await clock.advance(300);
    expect(seen.map(({ seq }) => seq)).toEqual([1]);
  });

  it('what is read says what was the case when it was asked, however late', async () => {
    const { broker, clock } = setUp();
    const [bucket, log] = [broker.keyValue('leases'), broker.eventLog('LOG')];
    await log.append(entry('a'));
    broker.faults.plan({ readDelayMs: () => 300 });
    const read = collect(log.read('log.run'));
    const asked = [bucket.get('a'), bucket.getMany(['a']), log.last('log.run')];
    await bucket.put('a', bytes('1'));
    await log.append(entry('b'));
    await clock.advance(300);
    expect(await Promise.all(asked)).toMatchObject([undefined, new Map(), { seq: 1 }]);
    expect(read.map(({ seq }) => seq)).toEqual([1]);
  });

  it('a write that is lost on its way in is not done, and a read may not be answered', async () => {
    const { broker } = setUp();
    const bucket = broker.keyValue('leases');
    broker.faults.plan({ dropWrite: (nth) => nth === 1, failRead: (nth) => nth === 1 });
    await expect(bucket.put('a', bytes('1'))).rejects.toMatchObject(unreachable('KV_UNAVAILABLE'));
    await expect(bucket.get('a')).rejects.toMatchObject(unreachable('KV_UNAVAILABLE'));
    expect(await bucket.get('a')).toBeUndefined();
  });

  it('a request may be lost, late, or served twice; whoever listens for faults is told', async () => {
    const { broker, clock } = setUp();
    const told: string[] = [];
    broker.faults.onFault((question, { name }) => told.push(`${question} ${name}`));
    let served = 0;
    broker.requests.serve('ask', 'group', () => {
      served += 1;
      return Promise.resolve({ body: bytes('yes') });
    });
    const request = () => broker.requests.request('ask', bytes(''), { timeoutMs: 1_000 });
    broker.faults.plan({ dropRequest: () => true });
    await expect(request()).rejects.toMatchObject(unreachable('REQUEST_UNANSWERED'));
    expect(served).toBe(0);
    broker.faults.plan({ repeatRequest: () => true, requestDelayMs: () => 200 });
    const asked = request();
    await clock.advance(199);
    expect(served).toBe(0);
    await clock.advance(1);
    await asked;
    expect(served).toBe(2);
    expect(told).toEqual(['dropRequest ask', 'requestDelayMs ask', 'repeatRequest ask']);
  });

  it('a batch may reach its taker late', async () => {
    const { broker, clock } = setUp();
    broker.faults.plan({ deliveryDelayMs: () => 100 });
    await broker.eventLog('LOG').append(entry('a'));
    const end = new AbortController();
    const batches = collect(broker.workQueue('LOG', 'work').batches({ max: 1, signal: end.signal }));
    await clock.advance(99);
    expect(batches.length).toBe(0);
    await clock.advance(1);
    expect(batches.length).toBe(1);
    end.abort();
  });
});

describe('who looks on', () => {
  it('sees every entry and record at the moment it is stored, also while the broker is away', async () => {
    const { broker } = setUp();
    const seen: string[] = [];
    broker.observeStream('LOG', ({ headers }) => seen.push(headers['Nats-Msg-Id'] ?? ''));
    broker.observeBucket('leases', ({ kind, key }) => seen.push(`${kind} ${key}`));
    await broker.eventLog('LOG').append(entry('a'));
    await broker.keyValue('leases').put('k', bytes('1'));
    await broker.keyValue('leases').delete('k');
    expect(seen).toEqual(['a', 'put k', 'deleted k']);
  });
});
