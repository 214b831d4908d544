// Whether a runner's silence is its own: the broker has to have answered without a pause since its last word.
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createSteadyBroker } from '#libs/service/steady-broker.ts';
import { bucketDefinitions } from '#streams/buckets.ts';
import { streamDefinitions } from '#streams/streams.ts';
import { expect, test } from 'vitest';

const FOR_MS = 2500;

const world = () => {
  const clock = createManualClock();
  const topology = { streams: streamDefinitions(1), buckets: bucketDefinitions(1) };
  const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock), topology });
  const stopping = new AbortController();
  let isNeeded = false;
  let answersAfterMs = 0;
  const bucket = broker.keyValue('presence');
  const steady = createSteadyBroker(
    {
      ...bucket,
      get: async (key) => {
        if (answersAfterMs > 0) await clock.sleep(answersAfterMs);
        return bucket.get(key);
      },
    },
    clock,
    { forMs: FOR_MS, isNeeded: () => isNeeded },
  );
  const running = steady.run(stopping.signal);
  return {
    clock,
    steady,
    begin: () => {
      isNeeded = true;
      steady.isNeededNow();
    },
    end: () => {
      isNeeded = false;
    },
    answerAfter: (ms: number) => {
      answersAfterMs = ms;
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
};

/** How long the answer to the question took, and what it was. */
const asked = async ({ clock, steady }: ReturnType<typeof world>, sinceMs: number) => {
  const beganMs = clock.monotonicMs();
  let tookMs = -1;
  const answer = steady.wasSteady(sinceMs).then((wasSteady) => {
    tookMs = clock.monotonicMs() - beganMs;
    return wasSteady;
  });
  await clock.settle();
  if (tookMs < 0) await clock.advance(2 * FOR_MS);
  return { wasSteady: await answer, tookMs };
};

test('WK-79 the silence of a runner whose first work had just begun is its own as soon as its word is over', async () => {
  const it = world();
  await it.clock.advance(60_000);
  it.begin();
  await it.clock.advance(20);
  const heardMs = it.clock.monotonicMs();
  await it.clock.advance(2000);
  expect(await asked(it, heardMs)).toEqual({ wasSteady: true, tookMs: 0 });
  await it.stop();
});

test('WK-79 a word that came just before anybody had to be asked counts as heard in steady times, an earlier one does not', async () => {
  const it = world();
  await it.clock.advance(60_000);
  const [earlyMs, heardMs] = [it.clock.monotonicMs() - 50, it.clock.monotonicMs()];
  await it.clock.advance(480);
  it.begin();
  await it.clock.advance(1600);
  expect(await asked(it, heardMs)).toEqual({ wasSteady: true, tookMs: 0 });
  expect((await asked(it, earlyMs)).wasSteady).toBe(false);
  // Of the time before the end of a pause nothing is believed.
  it.answerAfter(1500);
  await it.clock.advance(2100);
  it.answerAfter(0);
  await it.clock.advance(3000);
  it.answerAfter(1500);
  await it.clock.advance(1000);
  const pausedMs = it.clock.monotonicMs();
  await it.clock.advance(1000);
  it.answerAfter(0);
  await it.clock.advance(2000);
  expect((await asked(it, pausedMs)).wasSteady).toBe(false);
  await it.stop();
});

test('a pause of the broker since the last word gives everybody the time to speak', async () => {
  const it = world();
  it.begin();
  await it.clock.advance(5000);
  const heardMs = it.clock.monotonicMs();
  it.answerAfter(1500);
  await it.clock.advance(2100);
  it.answerAfter(0);
  expect(await asked(it, heardMs)).toEqual({ wasSteady: false, tookMs: FOR_MS });
  // Heard after the pause: nothing has come between.
  const againMs = it.clock.monotonicMs();
  await it.clock.advance(2000);
  expect(await asked(it, againMs)).toEqual({ wasSteady: true, tookMs: 0 });
  await it.stop();
});

test('a question that is still without an answer is a pause, too', async () => {
  const it = world();
  it.begin();
  await it.clock.advance(5000);
  const heardMs = it.clock.monotonicMs();
  it.answerAfter(30_000);
  await it.clock.advance(1600);
  it.answerAfter(0);
  expect((await asked(it, heardMs)).wasSteady).toBe(false);
  await it.clock.advance(30_000);
  await it.stop();
});

test('what was heard before anybody asked says nothing, and nobody is asked while no silence matters', async () => {
  const it = world();
  const heardMs = it.clock.monotonicMs();
  await it.clock.advance(1000);
  expect(it.clock.pendingTimers()).toBe(0);
  it.begin();
  await it.clock.advance(1000);
  expect((await asked(it, heardMs)).wasSteady).toBe(false);
  it.end();
  await it.clock.advance(1000);
  expect(it.clock.pendingTimers()).toBe(0);
  await it.stop();
});
