// Replays a log in stream order, up to a sequence or for ever.
import type { ReplayOptions, ReplayStart, StoredEntry } from '#libs/ports/event-log.ts';
import type { WriteContext } from './retried-publish.ts';
import { deliveredEntry } from './stored-entry.ts';
import type { SharedTail } from './shared-tail.ts';
import { type FeedItem, SupervisedConsumer } from './supervised-consumer.ts';
import type { TailReader } from './tail-reader.ts';

const CAPACITY = 1_000;
/** Who follows shares the connection with those who are asked and answer: what is on its way to it must not hold them up. */
const FOLLOW_CAPACITY = 256;

const startOf = ({ from = { seq: 1 } }: ReplayOptions): ReplayStart =>
  // Nothing else of it.
  'seq' in from ? { seq: Math.max(1, from.seq) } : { atMs: from.atMs };

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
    mayAskForMore: { endsAtSeq: options.toSeq ?? Number.POSITIVE_INFINITY },
    start: startOf(options),
    capacity: follow ? FOLLOW_CAPACITY : CAPACITY,
    onReplaced: 'fault',
    ...(follow ? {} : { patience }),
    ...(options.aheadBytes === undefined ? {} : { aheadBytes: options.aheadBytes }),
    reportsIdle: follow && options.toSeq !== undefined,
    ...(signal === undefined ? {} : { signal }),
  });
};

/** The sequence of the last message of a burst; 0: it holds none. */
const lastMessageOf = (burst: readonly FeedItem[]): number => {
  const last = burst.findLast((item) => item.kind === 'message');
  return last?.kind === 'message' ? last.facts.streamSeq : 0;
};

/** Follows for ever, and from the tail that others follow, too, wherever that has what comes next. */
async function* sharedBursts(
  context: WriteContext,
  options: ReplayOptions,
  tail: SharedTail,
): AsyncGenerator<readonly FeedItem[]> {
  const { signal, subjects = [] } = options;
  const filters = subjects.length === 0 ? ['>'] : subjects;
  let start = startOf(options);
  let reader: TailReader | undefined =
    'seq' in start ? tail.begin(filters, start.seq - 1, options) : undefined;
  for (;;) {
    if (reader !== undefined) {
      yield* reader.bursts();
      start = { seq: reader.lastSeq + 1 };
    }
    if (signal?.aborted === true) return;
    // What lies between its messages is not known to be empty: only those count.
    let reached = 'seq' in start ? start.seq - 1 : 0;
    let isCaughtUp = false;
    reader = undefined;
    for await (const burst of consumerOf(context, { ...options, from: start }).bursts()) {
      yield burst;
      reached = Math.max(reached, lastMessageOf(burst));
      isCaughtUp ||= burst.some(({ kind }) => kind === 'caught-up');
      reader = isCaughtUp ? tail.join(filters, reached, options) : undefined;
      if (reader !== undefined) break;
    }
    if (reader === undefined) return;
  }
}

const burstsOf = (
  context: WriteContext,
  options: ReplayOptions,
  tail: SharedTail,
): AsyncGenerator<readonly FeedItem[]> => {
  const isShared = options.isShared === true && options.follow === true && options.toSeq === undefined;
  return isShared ? sharedBursts(context, options, tail) : consumerOf(context, options).bursts();
};

/** Entries of a burst, up to where all is caught up, or to its end. */
interface Part {
  readonly entries: StoredEntry[];
  caughtUpSeq?: number;
  isLast?: boolean;
}

const partsOf = (burst: readonly FeedItem[], { toSeq, follow = false }: ReplayOptions): readonly Part[] => {
  const end = toSeq ?? Number.POSITIVE_INFINITY;
  let part: Part = { entries: [] };
  const parts = [part];
  for (const item of burst) {
    if (item.kind === 'message' && item.facts.streamSeq <= end)
      part.entries.push(item.entry ?? deliveredEntry(item.message, item.facts));
    if (item.kind === 'caught-up') part.caughtUpSeq = item.lastSeq;
    part.isLast = isEnd(item, end, follow);
    if (part.isLast) break;
    if (item.kind === 'caught-up') parts.push((part = { entries: [] }));
  }
  return parts;
};

/** The same entries as {@link replay}, by bursts. */
export async function* replayTogether(
  context: WriteContext,
  options: ReplayOptions,
  tail: SharedTail,
): AsyncGenerator<readonly StoredEntry[]> {
  const { signal } = options;
  const onCaughtUp = options.follow === true ? options.onCaughtUp : undefined;
  for await (const burst of burstsOf(context, options, tail))
    for (const { entries, caughtUpSeq, isLast } of partsOf(burst, options)) {
      if (signal?.aborted === true) return;
      if (entries.length > 0) yield entries;
      // Once what came before it has been taken.
      if (caughtUpSeq !== undefined) onCaughtUp?.(caughtUpSeq);
      if (isLast === true) return;
    }
}

/**
 * Hands out the entries of each burst. Written by hand: what has arrived costs one promise an entry, and a generator three times
 * that. As with a generator, calls that do not wait for one another are answered in their order.
 */
class ReplayIterator implements AsyncIterableIterator<StoredEntry> {
  readonly #bursts: AsyncGenerator<readonly FeedItem[]>;
  readonly #toSeq: number;
  readonly #follow: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #onCaughtUp: ((seq: number) => void) | undefined;
  #burst: readonly FeedItem[] = [];
  #at = 0;
  #isOver = false;
  /** The step that waits for a burst or for the end; later ones come after it. */
  #step: Promise<IteratorResult<StoredEntry>> | undefined;

  constructor(context: WriteContext, options: ReplayOptions, tail: SharedTail) {
    this.#bursts = burstsOf(context, options, tail);
    this.#toSeq = options.toSeq ?? Number.POSITIVE_INFINITY;
    this.#follow = options.follow ?? false;
    this.#signal = options.signal;
    this.#onCaughtUp = this.#follow ? options.onCaughtUp : undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<StoredEntry>> {
    if (this.#step !== undefined) return this.#after(() => this.#advance());
    const value = this.#take();
    return value === undefined ? this.#after(() => this.#advance()) : Promise.resolve({ done: false, value });
  }

  return(): Promise<IteratorResult<StoredEntry>> {
    return this.#after(() => {
      this.#isOver = true;
      return this.#advance();
    });
  }

  #after(advance: () => Promise<IteratorResult<StoredEntry>>): Promise<IteratorResult<StoredEntry>> {
    const step = (this.#step === undefined ? advance() : this.#step.then(advance, advance)).finally(() => {
      if (this.#step === step) this.#step = undefined;
    });
    this.#step = step;
    return step;
  }

  async #advance(): Promise<IteratorResult<StoredEntry>> {
    for (;;) {
      const value = this.#take();
      if (value !== undefined) return { done: false, value };
      const burst = this.#isOver ? await this.#bursts.return(undefined) : await this.#bursts.next();
      if (burst.done === true) {
        this.#isOver = true;
        return { done: true, value: undefined };
      }
      this.#burst = burst.value;
      this.#at = 0;
    }
  }

  /** The next entry that has arrived, if any. */
  #take(): StoredEntry | undefined {
    while (!this.#isOver && this.#at < this.#burst.length) {
      const item = this.#burst[this.#at];
      this.#at += 1;
      if (item === undefined || this.#signal?.aborted === true) {
        this.#isOver = true;
        return undefined;
      }
      if (isEnd(item, this.#toSeq, this.#follow)) this.#isOver = true;
      if (item.kind === 'caught-up') this.#onCaughtUp?.(item.lastSeq);
      if (item.kind === 'message' && item.facts.streamSeq <= this.#toSeq)
        return item.entry ?? deliveredEntry(item.message, item.facts);
    }
    return undefined;
  }
}

/** The entries of the stream in stream order; the port's contract. */
export const replay = (
  context: WriteContext,
  options: ReplayOptions,
  tail: SharedTail,
): AsyncIterableIterator<StoredEntry> => new ReplayIterator(context, options, tail);
