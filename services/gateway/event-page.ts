// One page of a run's record: transitions and reports in one order, from a cursor on. The cursor of the answer always advances
// over what was looked at, also when nothing of it was of interest; a page may be short (a bounded scan) and say that there is more.
import type { FeedPosition } from './cursor.ts';
import { checkReached, formatPosition } from './cursor.ts';
import type { FeedItem, FeedStream } from './feed-item.ts';
import { mergeByTime, readPast, type FeedSource, type FeedSources } from './feed-source.ts';

/** Entries of the agent's other runs that one page may step over. */
const SCAN_LIMIT = 20_000;

export interface EventPage {
  /** The items as JSON texts, each with its own cursor. */
  readonly items: readonly string[];
  readonly next: string;
  /** True when there was more at the time of asking. */
  readonly hasMore: boolean;
  /** Streams whose retention has passed the cursor: what is before `firstSeq` cannot be shown any more. */
  readonly gone: readonly { readonly stream: FeedStream; readonly firstSeq: number }[];
}

/** The shown form of an item with its cursor, as JSON. */
const itemJson = (item: FeedItem, position: FeedPosition): string =>
  `{"cursor":"${formatPosition(position)}",${item.json().slice(1)}`;

/** The end of one source's scan: the last sequence there is now, or less when the scan would be too long. */
class Scan {
  readonly #source: FeedSource;
  readonly #toSeq: number;
  #left = SCAN_LIMIT;
  /** Everything up to here was looked at, once the scan has run out. */
  reached: number;

  constructor(source: FeedSource, from: number, toSeq: number) {
    this.#source = source;
    this.#toSeq = toSeq;
    this.reached = from;
  }

  async *run(signal: AbortSignal): AsyncGenerator<FeedItem> {
    const range = { fromSeq: this.reached + 1, toSeq: this.#toSeq, signal };
    let isCut = false;
    for await (const item of readPast(this.#source, range, (seq) => {
      this.#left -= 1;
      isCut = this.#left <= 0;
      if (!isCut) this.reached = seq;
    })) {
      if (isCut) return;
      yield item;
    }
    if (!isCut) this.reached = Math.max(this.reached, this.#toSeq);
  }

  get isComplete(): boolean {
    return this.reached >= this.#toSeq;
  }
}

const goneOf = async (source: FeedSource, nextSeq: number) => {
  const { firstSeq, lastSeq } = await source.log.bounds();
  const isGone = firstSeq > Math.max(nextSeq, source.notBefore);
  return { lastSeq, gone: isGone ? [{ stream: source.stream, firstSeq }] : [] };
};

/** Reads a page of at most `limit` items after `from`. Throws `CURSOR_INVALID` (never) and the log's faults. */
export const readEventPage = async (
  sources: FeedSources,
  {
    from,
    limit,
    signal,
  }: { readonly from: FeedPosition; readonly limit: number; readonly signal: AbortSignal },
): Promise<EventPage> => {
  const ends = {
    transitions: await goneOf(sources.transitions, from.transitions + 1),
    events: await goneOf(sources.events, from.events + 1),
  };
  checkReached(from, { transitions: ends.transitions.lastSeq, events: ends.events.lastSeq });
  const transitions = new Scan(sources.transitions, from.transitions, ends.transitions.lastSeq);
  const events = new Scan(sources.events, from.events, ends.events.lastSeq);
  const items: string[] = [];
  let position = from;
  let isFull = false;
  for await (const item of mergeByTime(transitions.run(signal), events.run(signal))) {
    isFull = items.length === limit;
    if (isFull) break;
    const lane = item.stream === 'EVENTS' ? 'events' : 'transitions';
    position = { ...position, [lane]: item.seq };
    items.push(itemJson(item, position));
  }
  if (!isFull) position = { transitions: transitions.reached, events: events.reached };
  return {
    items,
    next: formatPosition(position),
    hasMore: isFull || !transitions.isComplete || !events.isComplete,
    gone: [...ends.transitions.gone, ...ends.events.gone],
  };
};
