// Streams in memory, and the hubs that feeds read them by.
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createFeedHub, type FeedHub } from '#services/gateway/feed-hub.ts';
import { streamDefinitions } from '#streams/streams.ts';
import { aggregateSubject, typedSubject } from '#streams/subjects.ts';

export const FEED_BOUNDARY = { tenant: 'local', project: 'main' };
export const FEED_RUNS = ['run_01HF3Z0000000000000000000A', 'run_01HF3Z0000000000000000000B'];
export const FEED_AGENT = 'builder-1';

/** Reports and transitions in memory. `maxItems`: of a reader's queue; `hubs`: takes note of each that is made. */
export const createFeedWorld = (seed: number, maxItems: number, hubs: FeedHub[]) => {
  const clock = createManualClock();
  const ids = createSeededIds(seed, clock);
  const broker = createMemoryBroker({
    clock,
    ids,
    topology: { streams: streamDefinitions(1), buckets: [{ name: 'activity' }] },
  });
  const hub = (stream: 'TRANSITIONS' | 'EVENTS'): FeedHub => {
    const made = createFeedHub({
      stream,
      log: broker.eventLog(stream),
      clock,
      maxItems,
      onTrouble: () => undefined,
    });
    hubs.push(made);
    return made;
  };
  let count = 0;
  const append = async (
    stream: 'TRANSITIONS' | 'EVENTS',
    runId: string,
    reporter = FEED_AGENT,
  ): Promise<void> => {
    const subject =
      stream === 'EVENTS'
        ? typedSubject(FEED_BOUNDARY, 'evt', reporter, 'text')
        : aggregateSubject(FEED_BOUNDARY, 'run', runId);
    count += 1;
    const entry = {
      subject,
      id: `e${count}`,
      headers: { 'Fleet-Correlation': runId },
      body: Buffer.from('{}'),
    };
    await broker.eventLog(stream).append(entry);
  };
  const stored = async (runId: string): Promise<string[]> => {
    const found: string[] = [];
    for (const stream of ['TRANSITIONS', 'EVENTS'] as const)
      for await (const entry of broker.eventLog(stream).replay())
        if (entry.headers['Fleet-Correlation'] === runId) found.push(`${stream} ${entry.seq}`);
    return found;
  };
  return {
    clock,
    ids,
    broker,
    append,
    stored,
    hubs: { transitions: hub('TRANSITIONS'), events: hub('EVENTS') },
  };
};
export type FeedWorld = ReturnType<typeof createFeedWorld>;
