// What a feed reads: for each stream, which entries are of interest and how the past of them is read; and the merge of two
// streams into one order. The order is by the time of storing, within each stream that of the stream; so however often, and
// from whichever position, the past is read, it comes in the same order.
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { aggregateSubject, typedFilter, type Boundary } from '#streams/subjects.ts';
import type { FeedHub, FeedInterest } from './feed-hub.ts';
import { feedItem, type FeedItem, type FeedStream } from './feed-item.ts';
import type { PastPage } from './recent-items.ts';
import { matchesFilter } from './subject-filter.ts';
import type { Turnstile } from './turnstile.ts';

/** One stream of a feed. */
export interface FeedSource {
  readonly stream: FeedStream;
  readonly log: EventLog;
  /** The live side. */
  readonly interest: FeedInterest;
  /** Nothing of interest stands before this sequence: spares reading what is not ours. */
  readonly notBefore: number;
  /** Entries from `fromSeq` to `toSeq` that may be of interest, oldest first. */
  readonly read: (fromSeq: number, toSeq: number, signal: AbortSignal) => AsyncIterable<StoredEntry>;
  readonly isWanted: (item: FeedItem) => boolean;
}

/** The two streams of a feed. */
export interface FeedSources {
  readonly transitions: FeedSource;
  readonly events: FeedSource;
}

interface RunOf {
  readonly boundary: Boundary;
  readonly runId: string;
  readonly agent: string;
  /** There is no report of the run before this sequence. */
  readonly firstReportSeq: number;
  /** Only what the run put out: reports of these types, and its end. Absent: everything. */
  readonly reportTypes?: readonly string[];
}

/** What a reading of the past may have in memory that was not looked at. */
const AHEAD = { aheadBytes: 256 * 1024 } as const;

type Logs = Readonly<Record<'transitions' | 'events', Pick<FeedHub, 'log'>>>;

/** About one run: its transitions, and the reports of its agent that belong to it. */
export const runSources = (
  logs: Logs,
  { boundary, runId, agent, firstReportSeq, reportTypes }: RunOf,
): FeedSources => {
  const subject = aggregateSubject(boundary, 'run', runId);
  const reports = typedFilter('evt', { ...boundary, id: agent });
  const subjects = reportTypes?.map((type) => typedFilter('evt', { ...boundary, id: agent, type }));
  // A report says itself which run it is about; that it is the run's agent who says so is checked by the broker.
  const isWanted = (item: FeedItem): boolean =>
    item.runId === runId && (item.stream === 'TRANSITIONS' || matchesFilter(reports, item.subject));
  return {
    transitions: {
      stream: 'TRANSITIONS',
      log: logs.transitions.log,
      interest: { runId, matches: isWanted },
      notBefore: 1,
      read: (fromSeq) => logs.transitions.log.read(subject, fromSeq),
      isWanted: (item) => isWanted(item) && (reportTypes === undefined || item.endsRun),
    },
    events: {
      stream: 'EVENTS',
      log: logs.events.log,
      interest: { runId, matches: isWanted },
      notBefore: firstReportSeq,
      read: (seq, toSeq, signal) =>
        logs.events.log.replay({ ...AHEAD, from: { seq }, toSeq, subjects: subjects ?? [reports], signal }),
      isWanted,
    },
  };
};

/** Everything that matches one of the filters of each stream; a stream without filters gives nothing. */
export const filteredSources = (
  logs: Logs,
  filters: { readonly transitions: readonly string[]; readonly events: readonly string[] },
): FeedSources => {
  const source = (stream: FeedStream, log: EventLog, subjects: readonly string[]): FeedSource => {
    const isWanted = (item: FeedItem): boolean =>
      subjects.some((filter) => matchesFilter(filter, item.subject));
    return {
      stream,
      log,
      interest: { matches: isWanted },
      notBefore: 1,
      read: (seq, toSeq, signal) =>
        subjects.length === 0 ? nothing() : log.replay({ ...AHEAD, from: { seq }, toSeq, subjects, signal }),
      isWanted,
    };
  };
  return {
    transitions: source('TRANSITIONS', logs.transitions.log, filters.transitions),
    events: source('EVENTS', logs.events.log, filters.events),
  };
};

// oxlint-disable-next-line require-yield -- an empty sequence
async function* nothing(): AsyncGenerator<StoredEntry> {}

/** Two sequences (inclusive), and what ends the reading. */
interface PastRange {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly signal: AbortSignal;
}

/** Reads the past of a source between two sequences (inclusive). `onScanned` hears of every entry, also of those not wanted. */
export async function* readPast(
  source: FeedSource,
  range: PastRange,
  onScanned: (seq: number) => void = () => undefined,
): AsyncGenerator<FeedItem> {
  const fromSeq = Math.max(range.fromSeq, source.notBefore);
  if (fromSeq > range.toSeq) return;
  for await (const entry of source.read(fromSeq, range.toSeq, range.signal)) {
    if (entry.seq > range.toSeq) return;
    onScanned(entry.seq);
    const item = feedItem(source.stream, entry);
    if (source.isWanted(item)) yield item;
  }
}

/**
 * A page of the past: what is in memory of it while its reader takes its time. The first one is small: who reads no more than that holds no more; each after
 * it is larger, since each is a reading of its own for the broker.
 */
const PAGE_ITEMS = 1000;
const FIRST_PAGE_BYTES = 64 * 1024;
const MOST_PAGE_BYTES = 256 * 1024;

const readPastPage = async (source: FeedSource, range: PastRange, most: number): Promise<PastPage> => {
  const items: FeedItem[] = [];
  let bytes = 0;
  for await (const item of readPast(source, range)) {
    items.push(item);
    // What waits for its reader holds nothing of what came with it.
    item.utf8();
    bytes += item.bytes;
    if (bytes >= most || items.length === PAGE_ITEMS) return { items, nextSeq: item.seq + 1 };
  }
  return { items, nextSeq: undefined };
};

/** Where pages come from: what a hub still has, or a reading of the log, of which `turnstile` allows so many at a time. */
interface Pages {
  readonly hub: Pick<FeedHub, 'recent'>;
  readonly turnstile: Turnstile;
}

/**
 * The same for a reader that may be slow: a page is read, and then nothing until it was taken, so that one who stops reading holds a page and nothing of
 * the broker.
 */
export async function* readPastByPages(
  source: FeedSource,
  range: PastRange,
  { hub, turnstile }: Pages,
): AsyncGenerator<FeedItem> {
  let next: PastRange | undefined = range;
  let most = FIRST_PAGE_BYTES;
  while (next !== undefined && !range.signal.aborted) {
    const asked: PastRange = next;
    const mostBytes = most;
    const { isWanted } = source;
    const page: PastPage =
      hub.recent({ ...asked, mostBytes, isWanted }) ??
      (await turnstile.pass(() => readPastPage(source, asked, mostBytes)));
    yield* page.items;
    most = Math.min(2 * most, MOST_PAGE_BYTES);
    next = page.nextSeq === undefined ? undefined : { ...range, fromSeq: page.nextSeq };
  }
}

/** Merges two sequences by the time of storing; the first goes first when times are equal. Closes both. */
export async function* mergeByTime(
  first: AsyncGenerator<FeedItem>,
  second: AsyncGenerator<FeedItem>,
): AsyncGenerator<FeedItem> {
  try {
    let [one, other] = await Promise.all([first.next(), second.next()]);
    while (one.done !== true && other.done !== true)
      if (other.value.storedAt < one.value.storedAt) {
        yield other.value;
        other = await second.next();
      } else {
        yield one.value;
        one = await first.next();
      }
    for (; one.done !== true; one = await first.next()) yield one.value;
    for (; other.done !== true; other = await second.next()) yield other.value;
  } finally {
    await Promise.all([first.return(undefined), second.return(undefined)]);
  }
}
