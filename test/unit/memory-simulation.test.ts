// A small fleet in memory under seeded faults: what a simulation promises (same seed, same run) and what the ports promise
// together (exactly one effect of everything, whatever gets lost on the way).
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { seededFaultPlan } from '#libs/memory/faults.ts';
import { createSeededIds, type SeededIds } from '#libs/memory/ids.ts';
import { toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { simulationSeeds } from '#test/support/seeds.ts';
import { describe, expect, it } from 'vitest';

const WRITERS = 6;
const STEPS = 12;
const AGGREGATES = 3;
const body = new Uint8Array();

/** Retries a call that may fault for a while, with the same content. */
const persist = async <T>(clock: Clock, call: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (toFault(error).retry !== 'later') throw error;
      await clock.sleep(20);
    }
  }
};

interface Parts {
  readonly clock: Clock;
  readonly log: EventLog;
  readonly ids: SeededIds;
}

/** Appends behind whatever is last on random aggregates, as command handlers do. */
const writer = async ({ clock, log, ids }: Parts, name: string): Promise<void> => {
  for (let step = 0; step < STEPS; step += 1) {
    const subject = `log.${Math.floor(ids.random() * AGGREGATES)}`;
    let isDone = false;
    while (!isDone) {
      const last = await persist(clock, () => log.last(subject));
      const expectedSeq = last?.seq ?? 0;
      const headers = { 'X-After': String(expectedSeq) };
      const entry = { subject, id: `${name}-${step}`, headers, body, expectedSeq };
      isDone = (await persist(clock, () => log.append(entry))).kind === 'appended';
    }
    await clock.sleep(Math.floor(ids.random() * 50));
  }
};

const run = async (seed: number) => {
  const clock = createManualClock();
  const ids = createSeededIds(seed, clock);
  const broker = createMemoryBroker({
    clock,
    ids,
    topology: {
      streams: [{ name: 'LOG', subjects: ['log.>'] }],
      consumers: [{ stream: 'LOG', name: 'work', ackWaitMs: 500, maxAckPending: 8 }],
    },
  });
  broker.faults.plan(
    seededFaultPlan(seed, {
      dropAppend: 0.1,
      loseAppendAck: 0.15,
      loseDeliveryAck: 0.1,
      forgetDeliveryAck: 0.05,
      maxAppendAckDelayMs: 30,
    }),
  );
  const log = broker.eventLog('LOG');
  const seen = new Set<number>();
  const trace: string[] = [];
  const abort = new AbortController();
  const work = (async () => {
    for await (const batch of broker.workQueue('LOG', 'work').batches({ max: 4, signal: abort.signal }))
      for (const delivery of batch) {
        trace.push(`${delivery.entry.seq}#${delivery.attempt}@${clock.monotonicMs()}`);
        seen.add(delivery.entry.seq);
        delivery.ack();
      }
  })();
  const writers = Array.from({ length: WRITERS }, (_, n) =>
    writer({ clock, log, ids: ids.fork(`writer-${n}`) }, `w${n}`),
  );
  const outage = ids.fork('outage');
  for (let n = 0; n < 4; n += 1) {
    await clock.advance(Math.floor(outage.random() * 200));
    broker.faults.goAway();
    await clock.advance(Math.floor(outage.random() * 400));
    broker.faults.crash(Math.floor(outage.random() * 5));
    broker.faults.comeBack();
  }
  await clock.advance(60_000);
  await Promise.all(writers);
  broker.faults.plan({});
  await clock.advance(10_000);
  abort.abort();
  await work;
  const stored = [];
  for await (const entry of log.replay()) stored.push(entry);
  return { stored, seen, trace, backlog: await broker.workQueue('LOG', 'work').backlog() };
};

describe('a simulated fleet', () => {
  it.each(simulationSeeds())('loses, doubles and reorders nothing under faults (seed %i)', async (seed) => {
    const { stored, seen, backlog } = await run(seed);
    const ids = stored.map(({ headers }) => headers['Nats-Msg-Id']);
    expect(ids).toHaveLength(WRITERS * STEPS);
    expect(new Set(ids).size).toBe(WRITERS * STEPS);
    const lastOf = new Map<string, number>();
    for (const { subject, seq, headers } of stored) {
      expect(headers['X-After']).toBe(String(lastOf.get(subject) ?? 0));
      lastOf.set(subject, seq);
    }
    expect(seen).toEqual(new Set(stored.map(({ seq }) => seq)));
    expect(backlog).toEqual({ pending: 0, unacknowledged: 0 });
  });

  it('is the same run for the same seed, and another one for another', async () => {
    const [first, again, other] = [await run(42), await run(42), await run(43)];
    expect(again.trace).toEqual(first.trace);
    expect(again.stored).toEqual(first.stored);
    expect(other.trace).not.toEqual(first.trace);
    expect(first.trace.length).toBeGreaterThan(first.stored.length);
  });
});
