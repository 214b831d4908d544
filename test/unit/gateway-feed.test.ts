// The feed of the gateway in memory: readers that join, leave, lag and resume at random while both streams grow. Each sees
// every entry of its interest exactly once, in the order of each stream.
import { afterEach, describe, expect, test } from 'vitest';
import { encodePosition, POSITION_KEY } from '#libs/projections/position.ts';
import { createReadView } from '#libs/projections/read-view.ts';
import { FEED_START, type FeedPosition } from '#services/gateway/cursor.ts';
import { readFeed, type FeedOutput } from '#services/gateway/feed.ts';
import type { FeedHub } from '#services/gateway/feed-hub.ts';
import { filteredSources, runSources } from '#services/gateway/feed-source.ts';
import { sourcesOfRun } from '#services/gateway/read-routes.ts';
import { activityViewSchema, viewKey } from '#streams/buckets.ts';
import { Turnstile } from '#services/gateway/turnstile.ts';
import { typedSubject } from '#streams/subjects.ts';
import {
  createFeedWorld,
  FEED_AGENT as agent,
  FEED_BOUNDARY as boundary,
  FEED_RUNS as runIds,
  type FeedWorld as World,
} from '#test/support/feed-world.ts';
import { simulationSeeds } from '#test/support/seeds.ts';

const hubs: FeedHub[] = [];
afterEach(async () => {
  const seats = hubs.map((hub) => hub.seats);
  await Promise.all(hubs.splice(0).map((hub) => hub.stop()));
  // A reader that has left leaves nothing behind.
  expect(seats.filter((count) => count > 0)).toEqual([]);
});

const createWorld = (seed: number, maxItems: number): World => createFeedWorld(seed, maxItems, hubs);

const openFeed = (
  world: World,
  runId: string,
  from: FeedPosition,
  signal: AbortSignal,
): AsyncGenerator<FeedOutput> =>
  readFeed({
    sources: runSources(world.hubs, { boundary, runId, agent, firstReportSeq: 1 }),
    hubs: world.hubs,
    from,
    endsWithRun: false,
    hasEnded: false,
    turnstile: new Turnstile(1),
    signal,
  });

/** Reads until `isEnough`, leaving and coming back at random; slow at random. */
const reader = async (
  world: World,
  runId: string,
  isEnough: (seen: readonly string[]) => boolean,
): Promise<string[]> => {
  const { ids, clock } = world;
  const seen: string[] = [];
  let from = FEED_START;
  while (!isEnough(seen)) {
    const leaving = new AbortController();
    const feed = openFeed(world, runId, from, leaving.signal);
    for await (const output of feed) {
      from = output.position;
      if (output.kind === 'item') seen.push(`${output.item.stream} ${output.item.seq}`);
      if (isEnough(seen) || ids.random() < 0.15) break;
      if (ids.random() < 0.3) await clock.sleep(Math.floor(ids.random() * 50));
    }
    leaving.abort();
  }
  return seen;
};

describe('a reader that comes and goes while the streams grow', () => {
  for (const seed of simulationSeeds())
    test(`sees each entry of its run once and in order (seed ${seed})`, async () => {
      // Queues of two: most readers lose theirs and go back to reading by themselves.
      const world = createWorld(seed, 2);
      const { clock, ids } = world;
      const total = 120;
      const perRun = new Map(runIds.map((runId) => [runId, 0]));
      const plan = Array.from({ length: total }, () => {
        const runId = runIds[Math.floor(ids.random() * runIds.length)] ?? '';
        perRun.set(runId, (perRun.get(runId) ?? 0) + 1);
        return { runId, stream: ids.random() < 0.5 ? ('EVENTS' as const) : ('TRANSITIONS' as const) };
      });
      const readers = [...runIds, ...runIds].map((runId) =>
        reader(world, runId, (seen) => seen.length >= (perRun.get(runId) ?? 0)),
      );
      const writing = (async (): Promise<void> => {
        for (const { runId, stream } of plan) {
          await world.append(stream, runId);
          await clock.sleep(Math.floor(ids.random() * 20));
        }
      })();
      const all = Promise.all([...readers, writing]);
      const progress = { isOver: false };
      const finish = (): void => {
        progress.isOver = true;
      };
      all.then(finish, finish);
      for (let steps = 0; !progress.isOver && steps < 5000; steps += 1) await clock.advance(10);
      expect(progress.isOver, 'a reader waits for what it has missed').toBe(true);
      const seen = await Promise.all(readers);
      for (const [at, runId] of [...runIds, ...runIds].entries()) {
        const items = seen[at] ?? [];
        expect(new Set(items).size).toBe(items.length);
        const order = (list: readonly string[]) =>
          list.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
        expect(order(items)).toEqual(order(await world.stored(runId)));
        for (const stream of ['EVENTS', 'TRANSITIONS']) {
          const ofStream = items.filter((item) => item.startsWith(stream));
          expect(ofStream).toEqual(order(ofStream));
        }
      }
    });
});

test('what another agent reports about a run is not of its record, neither live nor afterwards', async () => {
  const world = createWorld(1, 10);
  const [runId = ''] = runIds;
  const read = async (isLiveFirst: boolean): Promise<string[]> => {
    const leaving = new AbortController();
    const seen: string[] = [];
    for await (const output of openFeed(world, runId, FEED_START, leaving.signal)) {
      if (output.kind === 'item') seen.push(`${output.item.stream} ${output.item.seq}`);
      if (output.kind === 'live' && isLiveFirst) {
        await world.append('EVENTS', runId, 'builder-2');
        await world.append('EVENTS', runId);
      } else if (seen.length === 1) break;
    }
    leaving.abort();
    return seen;
  };
  expect(await read(true)).toEqual(['EVENTS 2']);
  expect(await read(false)).toEqual(['EVENTS 2']);
});

test('a feed without interest in a stream moves along it all the same', async () => {
  const world = createWorld(1, 10);
  const leaving = new AbortController();
  const subjects = { transitions: [], events: [typedSubject(boundary, 'evt', agent, 'text')] };
  const feed = readFeed({
    sources: filteredSources(world.hubs, subjects),
    hubs: world.hubs,
    from: FEED_START,
    endsWithRun: false,
    hasEnded: false,
    turnstile: new Turnstile(1),
    signal: leaving.signal,
  });
  const [runId = ''] = runIds;
  expect((await feed.next()).value).toMatchObject({ kind: 'live' });
  await world.append('TRANSITIONS', runId);
  await world.append('EVENTS', runId);
  expect((await feed.next()).value).toMatchObject({ kind: 'item', position: { transitions: 1, events: 1 } });
  leaving.abort();
  await feed.return(undefined);
});

test('a reader that leaves while it waits is let go', async () => {
  const world = createWorld(1, 10);
  const leaving = new AbortController();
  const feed = openFeed(world, runIds[0] ?? '', FEED_START, leaving.signal);
  await feed.next();
  const waiting = feed.next();
  leaving.abort();
  expect((await waiting).done).toBe(true);
});

test('a run that was found before its first report was folded is read from that report on', async () => {
  const { broker, clock, hubs } = createWorld(1, 10);
  const kv = broker.keyValue('activity');
  const activity = createReadView({
    projection: {
      name: 'activity',
      bucket: 'activity',
      parse: (value) => activityViewSchema.omit({ seq: true }).parse(value),
    },
    kv,
    clock,
    onFatal: (error) => {
      throw error;
    },
  });
  const runId = runIds[0] ?? '';
  const readsFrom = (): number =>
    sourcesOfRun({ hubs, boundary, views: { activity } }, { runId, agent }).events.notBefore;
  const foldedUpTo = (seq: number): Promise<unknown> =>
    kv.put(POSITION_KEY, encodePosition({ seq, projection: 'activity', version: 1, owner: 'one' }));
  await activity.ready;
  await foldedUpTo(40);
  await clock.settle();
  expect(readsFrom()).toBe(41);
  const view = {
    seq: 41,
    ...boundary,
    runId,
    sessionId: 'ses_01HF3Z0000000000000000000A',
    agent,
    firstSeq: 41,
    lastSeq: 41,
    reports: 1,
    tools: 0,
    filesChanged: 0,
    refused: 0,
    lastText: null,
    usage: null,
    lastReportAt: 1,
  };
  await kv.put(viewKey(boundary, runId), Buffer.from(JSON.stringify(view)));
  await foldedUpTo(60);
  await clock.settle();
  expect(readsFrom()).toBe(41);
  await activity.stop();
});
