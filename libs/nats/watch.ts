// Watches a bucket: its present values, `current`, then its changes in the order of revisions. When the bucket itself was
// replaced or has lost its end, everything comes again, `current` included: what was not named since is not there any more.
import type { WatchEvent, WatchOptions } from '#libs/ports/key-value.ts';
import { changeEvent, checkKeyFilter } from './key-entry.ts';
import { bodyBytes, subjectFrom } from './raw-message.ts';
import type { WriteContext } from './retried-publish.ts';
import { deliveredEntry } from './stored-entry.ts';
import { type FeedItem, SupervisedConsumer } from './supervised-consumer.ts';

/** Messages in memory; so many that the broker is not waited for while they are worked on. */
const CAPACITY = 3_000;

/** The filters of a watch as subjects. */
const keySubjects = (prefix: string, keys: readonly string[] | undefined): readonly string[] =>
  keys === undefined || keys.length === 0 ? [`${prefix}>`] : keys.map((key) => prefix + key);

/** Turns a feed into events. During the initial scan, markers that were there before it are left out: they say nothing. */
class WatchTranslator {
  readonly #prefixLength: number;
  readonly #isBorrowed: boolean;
  #isScanning: boolean;

  constructor(prefixLength: number, { afterRevision, borrowsValues = false }: WatchOptions) {
    this.#prefixLength = prefixLength;
    this.#isBorrowed = borrowsValues;
    this.#isScanning = afterRevision === undefined;
  }

  translate(item: FeedItem): WatchEvent | undefined {
    if (item.kind === 'rescan') {
      this.#isScanning = true;
      return undefined;
    }
    if (item.kind === 'caught-up') {
      if (!item.isScan) return undefined;
      this.#isScanning = false;
      return { kind: 'current' };
    }
    // Most are values, and many: an entry with its headers is made only where they are looked at.
    const value = this.#isBorrowed ? bodyBytes(item.message) : undefined;
    if (value !== undefined && value.byteLength > 0) {
      const { streamSeq: revision, storedAt: writtenAt } = item.facts;
      const key = subjectFrom(item.message, this.#prefixLength);
      return { kind: 'put', entry: { key, value, revision, writtenAt } };
    }
    const entry = deliveredEntry(item.message, item.facts);
    const event = changeEvent(entry, this.#prefixLength);
    const isOldMarker = this.#isScanning && event.kind !== 'put' && item.facts.streamSeq <= item.scanSeq;
    return isOldMarker ? undefined : event;
  }
}

const consumerOf = (
  { connection, stream }: WriteContext,
  prefix: string,
  { signal, afterRevision, keys, lateMs, mayReadOthers = false }: WatchOptions,
): SupervisedConsumer =>
  new SupervisedConsumer({
    connection,
    stream,
    family: 'KV',
    filters: keySubjects(prefix, keys),
    // With several filters the broker (2.15) takes ten times as long for each value of a bucket of many.
    ...(mayReadOthers ? { mayAskForMore: { filter: `${prefix}>` } } : {}),
    start: afterRevision === undefined ? { lastPerSubject: true } : { seq: afterRevision + 1 },
    capacity: CAPACITY,
    onReplaced: 'rescan',
    ...(lateMs === undefined ? {} : { everyMs: lateMs }),
    ...(signal === undefined ? {} : { signal }),
  });

/** The events of a bucket whose subjects begin with `prefix`, as they come. The port's contract. Fault `KV_REFUSED` for what is no filter. */
export async function* watchTogether(
  context: WriteContext,
  prefix: string,
  options: WatchOptions = {},
): AsyncGenerator<readonly WatchEvent[]> {
  const { signal, keys } = options;
  for (const filter of keys ?? []) checkKeyFilter(filter);
  const consumer = consumerOf(context, prefix, options);
  const translator = new WatchTranslator(prefix.length, options);
  for await (const burst of consumer.bursts()) {
    if (signal?.aborted === true) return;
    const events: WatchEvent[] = [];
    for (const item of burst) {
      const event = translator.translate(item);
      if (event !== undefined) events.push(event);
    }
    if (events.length > 0) yield events;
  }
}

/** The same one by one. */
export async function* watchBucket(
  context: WriteContext,
  prefix: string,
  options: WatchOptions = {},
): AsyncGenerator<WatchEvent> {
  for await (const events of watchTogether(context, prefix, options))
    for (const event of events) {
      if (options.signal?.aborted === true) return;
      yield event;
    }
}

/** The keys that have a value now. */
export async function* liveKeys(
  context: WriteContext,
  prefix: string,
  filter: string | undefined,
): AsyncGenerator<string> {
  const { connection, stream, patience } = context;
  const consumer = new SupervisedConsumer({
    connection,
    stream,
    family: 'KV',
    filters: keySubjects(prefix, filter === undefined ? undefined : [filter]),
    start: { lastPerSubject: true },
    headersOnly: true,
    capacity: CAPACITY,
    onReplaced: 'rescan',
    patience,
  });
  const live = new Set<string>();
  for await (const burst of consumer.bursts())
    for (const item of burst) {
      if (item.kind === 'rescan') live.clear();
      if (item.kind === 'caught-up') {
        yield* live;
        return;
      }
      if (item.kind !== 'message') continue;
      const event = changeEvent(deliveredEntry(item.message, item.facts), prefix.length);
      if (event.kind === 'put') live.add(event.entry.key);
      else if (event.kind !== 'current') live.delete(event.key);
    }
}
