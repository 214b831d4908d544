// The log port over a stream of the memory broker. Appends take effect at the call; their outcomes come as promises,
// and may be lost on the way by a fault plan. Group commit has nothing to gain here: each append is on its own.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { appendInOrder } from '#libs/ports/append-in-order.ts';
import type { AppendOutcome, EventLog, NewEntry, ReplayOptions, StoredEntry } from '#libs/ports/event-log.ts';
import { isAborted } from './bell.ts';
import { refused } from './refusal.ts';
import { type FaultSwitch, unreachableBroker } from './faults.ts';
import type { StreamStore } from './stream-store.ts';
import { createSubjectMatcher, isLiteralSubject, isSubjectFilter, isSubsetFilter } from './subject-match.ts';

const UNAVAILABLE = 'LOG_UNAVAILABLE';

/** What a log needs of its broker; `store` throws `LOG_MISSING` when the stream is not provisioned. */
export interface LogParts {
  readonly stream: string;
  readonly clock: Clock;
  readonly faults: FaultSwitch;
  readonly store: () => StreamStore;
}

/** The fault of a stream that nobody provisioned. */
export const missingStream = (stream: string): Fault =>
  new Fault({ code: 'LOG_MISSING', retry: 'never', message: `stream ${stream} is not provisioned` });

const checkFilters = (filters: readonly string[]): void => {
  for (const [at, filter] of filters.entries()) {
    if (!isSubjectFilter(filter)) throw refused(`"${filter}" is not a subject filter`, { filter });
    if (filters.some((other, index) => index !== at && isSubsetFilter(filter, other)))
      throw refused(`filter ${filter} is a subset of another`, { filter });
  }
};

const startOf = (store: StreamStore, options: ReplayOptions): number => {
  const { from } = options;
  if (from === undefined) return store.firstSeq;
  return Math.max('seq' in from ? from.seq : store.seqAt(from.atMs), store.firstSeq);
};

/** The next entry of a following replay may still have to come; waits for it, or for the broker to come back. */
const waitForMore = (parts: LogParts, store: StreamStore, signal: AbortSignal | undefined): Promise<void> =>
  parts.faults.isAway ? parts.faults.reachable(signal) : store.appended.wait(signal);

const failSome = ({ faults, stream }: LogParts): void => {
  if (faults.happens('failRead', { name: stream })) throw unreachableBroker(UNAVAILABLE);
};

/** The way back of what was read. */
const late = async ({ clock, faults, stream }: LogParts): Promise<void> => {
  const delayMs = faults.delayMs('readDelayMs', { name: stream });
  if (delayMs > 0) await clock.sleep(delayMs);
};

/** Tells once that all that was there has been handed out, when something later is to come next. */
const createCaughtUp = ({ follow, onCaughtUp }: ReplayOptions, lastSeq: number): ((next: number) => void) => {
  let isTold = follow !== true;
  return (next) => {
    if (isTold || next <= lastSeq) return;
    isTold = true;
    onCaughtUp?.(lastSeq);
  };
};

async function* replay(parts: LogParts, options: ReplayOptions): AsyncGenerator<StoredEntry> {
  const { faults } = parts;
  const { signal, follow = false, subjects = [], toSeq = Number.POSITIVE_INFINITY } = options;
  checkFilters(subjects);
  if (follow) await faults.reachable(signal);
  else faults.check(UNAVAILABLE);
  if (isAborted(signal)) return;
  const store = parts.store();
  const isWanted = createSubjectMatcher(subjects);
  const end = follow ? toSeq : Math.min(toSeq, store.lastSeq);
  let seq = startOf(store, options);
  const tell = createCaughtUp(options, store.lastSeq);
  while (seq <= end && !isAborted(signal)) {
    tell(seq);
    if (!follow) faults.check(UNAVAILABLE);
    if (faults.isAway || seq > store.lastSeq) {
      await waitForMore(parts, store, signal);
      continue;
    }
    seq = Math.max(seq, store.firstSeq);
    const entry = store.get(seq);
    seq += 1;
    if (entry !== undefined && isWanted(entry.subject)) yield entry;
  }
}

/** What follows the log may get an entry late: so long after it was there to be had, not after the one before it. */
async function* follow(parts: LogParts, options: ReplayOptions): AsyncGenerator<StoredEntry> {
  const { clock, faults, stream } = parts;
  const { signal } = options;
  const sinceMs = clock.now();
  for await (const entry of replay(parts, options)) {
    const delayMs = faults.delayMs('replayDelayMs', { name: stream, entry });
    const agoMs = clock.now() - Math.max(entry.storedAt, sinceMs);
    // Clocks jump: never longer than asked for.
    const lateMs = Math.min(delayMs - agoMs, delayMs);
    if (lateMs > 0) await clock.sleep(lateMs, signal);
    if (isAborted(signal)) return;
    yield entry;
  }
}

/** Nothing comes together here: what goes wrong goes wrong between any two. */
async function* replayTogether(
  parts: LogParts,
  options: ReplayOptions,
): AsyncGenerator<readonly StoredEntry[]> {
  for await (const entry of (options.follow === true ? follow : replay)(parts, options)) yield [entry];
}

async function* read(parts: LogParts, subject: string, fromSeq: number): AsyncGenerator<StoredEntry> {
  parts.faults.check(UNAVAILABLE);
  if (!isLiteralSubject(subject)) throw refused(`"${subject}" is not a literal subject`, { subject });
  failSome(parts);
  const store = parts.store();
  const end = store.lastSeq;
  await late(parts);
  for (let entry = store.next(subject, fromSeq); entry !== undefined && entry.seq <= end;) {
    yield entry;
    parts.faults.check(UNAVAILABLE);
    entry = store.next(subject, entry.seq + 1);
  }
}

/** The log of one stream. All logs of the stream see the same entries. */
export const createMemoryEventLog = (parts: LogParts): EventLog => {
  const { clock, faults } = parts;

  /** `work` runs at once; only the way back takes time. */
  const write = async <T>(entry: NewEntry | undefined, work: (store: StreamStore) => T): Promise<T> => {
    faults.check(UNAVAILABLE);
    const store = parts.store();
    const place = { name: parts.stream, ...(entry !== undefined && { entry }) };
    if (faults.happens('dropAppend', place)) throw unreachableBroker(UNAVAILABLE);
    const outcome = work(store);
    const isLost = faults.happens('loseAppendAck', place);
    const delayMs = faults.delayMs('appendAckDelayMs', place);
    if (delayMs > 0) await clock.sleep(delayMs);
    if (isLost || faults.isAway) throw unreachableBroker(UNAVAILABLE);
    return outcome;
  };

  const last = async (subject: string): Promise<StoredEntry | undefined> => {
    faults.check(UNAVAILABLE);
    if (!isLiteralSubject(subject)) throw refused(`"${subject}" is not a literal subject`, { subject });
    failSome(parts);
    const found = parts.store().last(subject);
    await late(parts);
    return found;
  };

  const append = (entry: NewEntry): Promise<AppendOutcome> => write(entry, (store) => store.append(entry));

  return {
    stream: parts.stream,
    append,
    appendInOrder: (entries) => appendInOrder(append, entries),
    appendTogether: (entries) => write(entries[0], (store) => store.appendTogether(entries)),
    last,
    lastSeen: last,
    read: (subject, fromSeq = 1) => read(parts, subject, fromSeq),
    replay: (options = {}) => (options.follow === true ? follow : replay)(parts, options),
    replayTogether: (options = {}) => replayTogether(parts, options),
    bounds: async () => {
      faults.check(UNAVAILABLE);
      return parts.store().bounds();
    },
  };
};
