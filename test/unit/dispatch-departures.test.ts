// Who has left, as the broker says it: after a grace, and not when the connection was made anew in it.
import { expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createDepartures } from '#services/dispatch/departures.ts';
import { RUNNER_CONNECTIONS } from '#streams/broker-events.ts';
import { jsonBytes } from '#streams/entry.ts';
import { runnerUser } from '#streams/runner-user.ts';

const GRACE_MS = 400;

const world = () => {
  const clock = createManualClock();
  const departures = createDepartures(clock, GRACE_MS);
  const news = departures.news('dispatch-1');
  const told: string[] = [];
  const listening = new AbortController();
  departures.follow(
    { gone: (agent) => void told.push(`${agent} gone`), back: (agent) => void told.push(`${agent} back`) },
    listening.signal,
  );
  const say = async (what: 'made' | 'ended', body: unknown): Promise<void> => {
    const subject = RUNNER_CONNECTIONS[what].heardAt;
    const served = news.find((one) => one.subject === subject);
    await served?.handle({ subject, headers: {}, body: jsonBytes(body) });
  };
  const of = (agent: string) => ({ client: { user: runnerUser(agent) } });
  return { clock, told, listening, say, of, groups: news.map(({ group }) => group) };
};

test('a runner whose connection has ended is gone after the grace, once', async () => {
  const { clock, told, say, of } = world();
  await say('ended', of('a1'));
  await clock.advance(GRACE_MS - 1);
  expect(told).toEqual([]);
  await clock.advance(1);
  await clock.advance(10 * GRACE_MS);
  expect(told).toEqual(['a1 gone']);
});

test('one that comes back in time was never gone; one that comes later is told of', async () => {
  const { clock, told, say, of } = world();
  await say('ended', of('a1'));
  await say('made', of('a1'));
  await clock.advance(GRACE_MS);
  expect(told).toEqual(['a1 back']);
  await say('ended', of('a1'));
  await clock.advance(GRACE_MS);
  await say('made', of('a1'));
  expect(told).toEqual(['a1 back', 'a1 gone', 'a1 back']);
});

test('every instance hears it, nobody but runners counts, and whoever has stopped is not told', async () => {
  const { clock, told, listening, say, of, groups } = world();
  expect(groups).toEqual(['dispatch-1', 'dispatch-1']);
  for (const body of [{ client: { user: 'control' } }, { client: {} }, 'nonsense', null])
    await say('ended', body);
  await clock.advance(GRACE_MS);
  expect(told).toEqual([]);
  listening.abort();
  await say('ended', of('a1'));
  await clock.advance(GRACE_MS);
  expect(told).toEqual([]);
  expect(clock.pendingTimers()).toBe(0);
});
