// A live stream as server-sent events: what a silent stream costs, how a feed that fails or ends closes it, what one that nobody reads asks for, and
// that many who send leave time for others.
import { expect, test, vi } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import type { FeedOutput } from '#services/gateway/feed.ts';
import { feedFrame, plainFrame, sseBody } from '#services/gateway/sse.ts';
import { SendTurns, Turnstile } from '#services/gateway/turnstile.ts';

type Step = IteratorResult<FeedOutput>;

/** A feed whose next item a test gives, and which counts how often somebody asked to be told of it. */
const feedOf = (step: Promise<Step>) => {
  const listening = vi.spyOn(step, 'then');
  const feed = {
    next: () => step,
    return: () => Promise.resolve({ done: true, value: undefined }),
  } as unknown as AsyncGenerator<FeedOutput>;
  return { feed, listeners: () => listening.mock.calls.length };
};

const bodyOf = (feed: AsyncGenerator<FeedOutput>) => {
  const clock = createManualClock();
  const failures: unknown[] = [];
  let closed = 0;
  const body = sseBody({
    feed,
    frame: feedFrame,
    clock,
    heartbeatMs: 1000,
    turns: new SendTurns(),
    stallMs: 60_000,
    onStall: () => expect.unreachable('it is read'),
    onClose: () => (closed += 1),
    onFailure: (error) => failures.push(error),
  });
  const reader = body.getReader();
  const read = async (): Promise<string | undefined> => {
    const { value } = await reader.read();
    return value === undefined ? undefined : new TextDecoder().decode(value);
  };
  return { clock, read, failures, closed: () => closed, cancel: () => reader.cancel() };
};

const LIVE: Step = { done: false, value: { kind: 'live', position: { transitions: 3, events: 4 } } };

test('a silent stream sends comments and holds no more after a thousand of them than after one', async () => {
  const coming = Promise.withResolvers<Step>();
  const { feed, listeners } = feedOf(coming.promise);
  const { clock, read, cancel } = bodyOf(feed);
  expect(await read()).toContain('retry:');
  for (let beat = 0; beat < 1000; beat += 1) {
    const reading = read();
    await clock.advance(1000);
    expect(await reading).toBe(': still here\n\n');
  }
  expect(listeners()).toBe(1);
  const reading = read();
  coming.resolve(LIVE);
  expect(await reading).toContain('event: live\nid: t3.e4\n');
  await cancel();
});

test('a feed that fails closes the stream once, and says why', async () => {
  const coming = Promise.withResolvers<Step>();
  const { feed } = feedOf(coming.promise);
  const { clock, read, failures, closed } = bodyOf(feed);
  await read();
  const beat = read();
  await clock.advance(1000);
  await beat;
  const reading = read();
  coming.reject(new Error('the log is away'));
  expect(await reading).toBeUndefined();
  expect(failures).toEqual([new Error('the log is away')]);
  expect(closed()).toBe(1);
});

/** A feed without end that counts what was taken of it. */
const endless = (size: number) => {
  const taken = { count: 0, isOver: false };
  const feed = (async function* endlessly() {
    try {
      for (;;) {
        taken.count += 1;
        yield 'x'.repeat(size);
      }
    } finally {
      taken.isOver = true;
    }
  })();
  return { feed, taken };
};

const wideBody = (feed: AsyncGenerator<string>, turns: SendTurns, onStall: () => void = () => undefined) => {
  const clock = createManualClock();
  const body = sseBody({
    feed,
    frame: plainFrame('wide'),
    clock,
    heartbeatMs: 1000,
    turns,
    stallMs: 5000,
    onStall,
    onClose: () => undefined,
    onFailure: (error) => expect.unreachable(String(error)),
  });
  return { clock, reader: body.getReader() };
};

test('a stream that nobody reads asks for one item, and is cut off after a while in which nothing is taken', async () => {
  const { feed, taken } = endless(20_000);
  let stalls = 0;
  const { clock, reader } = wideBody(feed, new SendTurns(), () => {
    stalls += 1;
    void reader.cancel();
  });
  await reader.read();
  await clock.advance(4000);
  expect([taken.count, stalls]).toEqual([1, 0]);
  // It took one meanwhile: its time begins anew.
  await reader.read();
  await clock.advance(4000);
  expect([taken.count, stalls]).toEqual([2, 0]);
  await clock.advance(1000);
  await clock.advance(60_000);
  expect([taken.count, stalls, taken.isOver]).toEqual([2, 1, true]);
});

test('streams that always have something to send let others of the process have their turn', async () => {
  const turns = new SendTurns(100_000);
  const bodies = Array.from({ length: 10 }, () => endless(10_000));
  const progress = { isOver: false };
  const reading = bodies.map(async ({ feed }) => {
    const { reader } = wideBody(feed, turns);
    while (!progress.isOver) await reader.read();
    await reader.cancel();
  });
  const sent = (): number => bodies.reduce((sum, { taken }) => sum + taken.count, 0);
  const counts: number[] = [];
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(sent());
  }
  progress.isOver = true;
  await Promise.all(reading);
  // Of each no more than was begun, beyond what fits a turn.
  for (const [at, count] of counts.entries()) expect(count - (counts[at - 1] ?? 0)).toBeLessThanOrEqual(30);
  // And all of them got on.
  for (const { taken } of bodies) expect(taken.count).toBeGreaterThan(5);
});

test('a turnstile lets so many through at a time, in order, also when one fails', async () => {
  const turnstile = new Turnstile(2);
  const steps: string[] = [];
  let inside = 0;
  const pass = (name: string) =>
    turnstile.pass(async () => {
      inside += 1;
      expect(inside).toBeLessThanOrEqual(2);
      await Promise.resolve();
      steps.push(name);
      inside -= 1;
      if (name === 'b') throw new Error(name);
    });
  const all = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map(pass));
  expect(all.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  expect(steps).toEqual(['a', 'b', 'c', 'd', 'e']);
});
