// What a reader of a feed that does not keep up costs: a page of the past, its queues, and no reading of the log for what has just passed.
import { afterEach, expect, test } from 'vitest';
import { FEED_START } from '#services/gateway/cursor.ts';
import { readFeed } from '#services/gateway/feed.ts';
import type { FeedHub } from '#services/gateway/feed-hub.ts';
import { runSources } from '#services/gateway/feed-source.ts';
import { Turnstile } from '#services/gateway/turnstile.ts';
import {
  createFeedWorld,
  FEED_AGENT as agent,
  FEED_BOUNDARY as boundary,
  FEED_RUNS as runIds,
} from '#test/support/feed-world.ts';

const made: FeedHub[] = [];
afterEach(async () => {
  const seats = made.map((hub) => hub.seats);
  await Promise.all(made.splice(0).map((hub) => hub.stop()));
  // A reader that has left leaves nothing behind.
  expect(seats.filter((count) => count > 0)).toEqual([]);
});

test('a reader that stops reading holds a page of the past, and its queues no more than they may', async () => {
  const world = createFeedWorld(1, 10, made);
  const [runId = ''] = runIds;
  const log = world.hubs.events.log;
  let read = 0;
  const counted: FeedHub['log'] = {
    ...log,
    replay: async function* replay(options) {
      for await (const entry of log.replay(options)) {
        if (options?.follow !== true) read += 1;
        yield entry;
      }
    },
  };
  for (let at = 0; at < 2500; at += 1) await world.append('EVENTS', runId);
  const leaving = new AbortController();
  const hubs = { transitions: world.hubs.transitions, events: { log: counted } };
  const feed = readFeed({
    sources: runSources(hubs, { boundary, runId, agent, firstReportSeq: 1 }),
    hubs: world.hubs,
    from: FEED_START,
    endsWithRun: false,
    hasEnded: false,
    turnstile: new Turnstile(1),
    signal: leaving.signal,
  });
  await feed.next();
  const page = read;
  // 64 KiB of them.
  expect(page).toBeGreaterThan(50);
  expect(page).toBeLessThan(300);
  for (let at = 0; at < 100; at += 1) await world.append('EVENTS', runId);
  await world.clock.settle();
  expect(read).toBe(page);
  const seen: number[] = [1];
  while (seen.length < 2600) {
    const output = (await feed.next()).value;
    if (output?.kind === 'item') seen.push(output.item.seq);
  }
  expect(seen).toEqual(Array.from({ length: 2600 }, (_, at) => at + 1));
  leaving.abort();
  await feed.return(undefined);
});

test('a reader that has fallen behind by a little goes on without asking the log', async () => {
  const world = createFeedWorld(1, 2, made);
  const [runId = ''] = runIds;
  const { log } = world.hubs.events;
  let readings = 0;
  const counted: FeedHub['log'] = {
    ...log,
    replay: (options) => {
      readings += 1;
      return log.replay(options);
    },
  };
  await world.append('EVENTS', runId);
  const leaving = new AbortController();
  const feed = readFeed({
    sources: runSources(
      { ...world.hubs, events: { log: counted } },
      { boundary, runId, agent, firstReportSeq: 1 },
    ),
    hubs: world.hubs,
    from: FEED_START,
    endsWithRun: false,
    hasEnded: false,
    turnstile: new Turnstile(1),
    signal: leaving.signal,
  });
  expect([(await feed.next()).value?.kind, (await feed.next()).value?.kind]).toEqual(['item', 'live']);
  expect(readings).toBe(1);
  // Its queue has room for two.
  for (let at = 0; at < 300; at += 1) await world.append('EVENTS', at % 3 === 0 ? runId : (runIds[1] ?? ''));
  await world.clock.settle();
  const seen: number[] = [];
  while (seen.length < 100) {
    const output = (await feed.next()).value;
    if (output?.kind === 'item') seen.push(output.item.seq);
  }
  expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => 2 + 3 * at));
  expect(readings).toBe(1);
  leaving.abort();
  await feed.return(undefined);
});
