// When a runner says that it is alive: whoever waits for its silence counts from its last word and by the time that this word gave it.
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { announcePresence } from '#services/runner/presence.ts';
import { createRunsClient } from '#services/runner/runs-client.ts';
import { agentRequestFilter } from '#streams/subjects.ts';
import { expect, test } from 'vitest';

const PLACE = { tenant: 'acme', project: 'web', agent: 'a1' };
const status = {
  pending: 0,
  pendingBytes: 0,
  parked: 0,
  nextSourceSeq: 1,
  unreachableFailures: 0,
  unreachableReason: null,
};

const world = () => {
  const clock = createManualClock();
  const broker = createMemoryBroker({ clock, ids: createSeededIds(4, clock) });
  const words: { readonly atMs: number; readonly ttlMs: number; readonly active: number }[] = [];
  broker.requests.serve(agentRequestFilter('runs', 'announce'), 'runs', async ({ body }) => {
    if (isAway)
      return {
        body: jsonBytes({ outcome: 'fault', code: 'LOG_UNAVAILABLE', message: 'away', retry: 'later' }),
      };
    const { ttlMs, active } = parseJson(body) as { readonly ttlMs: number; readonly active: number };
    words.push({ atMs: clock.monotonicMs(), ttlMs, active });
    return { body: jsonBytes({ outcome: 'ok', result: { ttlMs } }) };
  });
  let isAway = false;
  let active = 0;
  let late = 0;
  let begun = (): void => undefined;
  const stopping = new AbortController();
  const running = announcePresence(
    {
      clock,
      outbox: { status: () => status, nudge: () => undefined },
      runs: createRunsClient(broker.requests, PLACE),
      hooks: { depth: () => undefined },
      active: () => active,
      whenBegun: (listener) => {
        begun = listener;
      },
      onLate: () => {
        late += 1;
      },
      everyMs: 5000,
      facts: { runnerId: 'r1', providers: ['exec'], version: '0', startedAt: 0 },
      machine: () => undefined,
    },
    stopping.signal,
  );
  return {
    clock,
    words,
    late: () => late,
    away: (is: boolean) => {
      isAway = is;
    },
    begin: () => {
      active += 1;
      begun();
    },
    end: () => {
      active -= 1;
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
};

test('WK-79 a runner says at once that work has begun, and that its silence counts soon', async () => {
  const it = world();
  await it.clock.advance(1234);
  it.begin();
  await it.clock.settle();
  expect(it.words).toEqual([
    { atMs: 0, ttlMs: 15_000, active: 0 },
    { atMs: 1234, ttlMs: 2000, active: 1 },
  ]);
  // It speaks at its pace from then on, whatever else begins; what ends is told within that pace.
  it.begin();
  await it.clock.advance(699);
  expect(it.words).toHaveLength(2);
  await it.clock.advance(1);
  expect(it.words.at(-1)).toEqual({ atMs: 1934, ttlMs: 2000, active: 2 });
  it.end();
  it.end();
  await it.clock.advance(700);
  expect(it.words.at(-1)).toEqual({ atMs: 2634, ttlMs: 15_000, active: 0 });
  await it.stop();
});

test('an idle runner speaks every so often, and no timer of it rings in between', async () => {
  const it = world();
  await it.clock.advance(4999);
  expect(it.words).toHaveLength(1);
  expect(it.clock.pendingTimers()).toBe(1);
  await it.clock.advance(10_001);
  expect(it.words.map(({ atMs }) => atMs)).toEqual([0, 5000, 10_000, 15_000]);
  await it.stop();
});

test('WK-79 a word that comes after its time is noticed, and a slow one within it is not', async () => {
  const it = world();
  it.begin();
  await it.clock.advance(5000);
  it.away(true);
  await it.clock.advance(1200);
  it.away(false);
  await it.clock.advance(5000);
  expect(it.late()).toBe(0);
  it.away(true);
  await it.clock.advance(2800);
  it.away(false);
  await it.clock.advance(5000);
  expect(it.late()).toBe(1);
  await it.stop();
});
