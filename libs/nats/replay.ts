// Replays a log in stream order, up to a sequence or for ever.
import type { ReplayOptions, StoredEntry } from '#libs/ports/event-log.ts';
import type { ConsumerStart } from './ephemeral-consumer.ts';
import type { WriteContext } from './retried-publish.ts';
import { deliveredEntry } from './stored-entry.ts';
import { type FeedItem, SupervisedConsumer } from './supervised-consumer.ts';

const CAPACITY = 1_000;

const startOf = (options: ReplayOptions): ConsumerStart => {
  const { from } = options;
  if (from === undefined) return { seq: 1 };
  return 'seq' in from ? { seq: from.seq } : { atMs: from.atMs };
};

/** Whether an item shows that nothing up to `toSeq` is to come. */
const isEnd = (item: FeedItem, toSeq: number, follow: boolean): boolean => {
  if (item.kind === 'message') return item.facts.streamSeq >= toSeq;
  return item.kind === 'caught-up' && (!follow || item.lastSeq >= toSeq);
};

const consumerOf = (context: WriteContext, options: ReplayOptions): SupervisedConsumer => {
  const { connection, stream, patience } = context;
  const { follow = false, signal } = options;
  return new SupervisedConsumer({
    connection,
    stream,
    family: 'LOG',
    filters: options.subjects ?? [],
    start: startOf(options),
    capacity: CAPACITY,
    onReplaced: 'fault',
    ...(follow ? {} : { patience }),
    reportsIdle: follow && options.toSeq !== undefined,
    ...(signal === undefined ? {} : { signal }),
  });
};

/** The entries of the stream in stream order; the port's contract. */
export async function* replay(
  context: WriteContext,
  options: ReplayOptions = {},
): AsyncGenerator<StoredEntry> {
  const { follow = false, signal, toSeq = Number.POSITIVE_INFINITY } = options;
  for await (const burst of consumerOf(context, options).bursts())
    for (const item of burst) {
      if (signal?.aborted === true) return;
      if (item.kind === 'message' && item.facts.streamSeq <= toSeq)
        yield deliveredEntry(item.message, item.facts);
      if (isEnd(item, toSeq, follow)) return;
    }
}
