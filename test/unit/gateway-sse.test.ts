// A live stream as server-sent events: what a silent stream costs, and how a feed that fails or ends closes it.
import { expect, test, vi } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import type { FeedOutput } from '#services/gateway/feed.ts';
import { feedFrame, sseBody } from '#services/gateway/sse.ts';

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
