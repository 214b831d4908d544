// One stream of the memory broker: its entries, an index by subject, the ids it remembers, its limits, and those who
// listen to it. All synchronous: an append takes effect at the moment of the call. Knows no faults of the network.
import { Fault } from '#libs/kernel/fault.ts';
import type { AppendOutcome, BatchOutcome, LogBounds, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { Bell } from './bell.ts';
import type { StreamShape } from './definitions.ts';
import { checkBatch, checkEntry, entryBytes } from './entry-check.ts';
import { KnownIds } from './known-ids.ts';
import { refused } from './refusal.ts';
import { SeqList } from './seq-list.ts';

const DEFAULT_DUPLICATE_WINDOW_MS = 120_000;
const MSG_ID = 'Nats-Msg-Id';

/** Told of every change of a stream, synchronously and in stream order. */
export interface StreamListener {
  stored(entry: StoredEntry): void;
  removed(entry: StoredEntry): void;
}

export class StreamStore {
  readonly shape: StreamShape;
  /** Rings after each append. */
  readonly appended = new Bell();
  readonly #clock: Clock;
  readonly #entries = new Map<number, StoredEntry>();
  readonly #bySubject = new Map<string, SeqList>();
  readonly #ids: KnownIds;
  readonly #listeners: StreamListener[] = [];
  #firstSeq = 1;
  #lastSeq = 0;
  #bytes = 0;

  constructor(shape: StreamShape, clock: Clock) {
    this.shape = shape;
    this.#clock = clock;
    this.#ids = new KnownIds(clock, shape.duplicateWindowMs ?? DEFAULT_DUPLICATE_WINDOW_MS);
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  get firstSeq(): number {
    this.#dropAged();
    return this.#firstSeq;
  }

  listen(listener: StreamListener): void {
    this.#listeners.push(listener);
  }

  /** Id first, then expectation; a stale expectation whose successor carries this id is the retry of an append that had succeeded. */
  append(entry: NewEntry): AppendOutcome {
    checkEntry(this.shape, entry);
    this.#dropAged();
    const known = this.#ids.seqOf(entry.id) ?? this.#successorWithId(entry);
    if (known !== undefined) return { kind: 'appended', seq: known, duplicate: true };
    const conflict = this.#conflictOf(entry);
    if (conflict !== undefined) return conflict;
    this.#checkRoom([entry]);
    return { kind: 'appended', seq: this.#store(entry), duplicate: false };
  }

  appendTogether(entries: readonly NewEntry[]): BatchOutcome {
    checkBatch(this.shape, entries);
    this.#dropAged();
    const before = this.#storedBatch(entries);
    if (before !== undefined) return { kind: 'appended', seqs: before, duplicate: true };
    for (const entry of entries) {
      const seq = this.#ids.seqOf(entry.id);
      if (seq !== undefined)
        throw refused(`id ${entry.id} was stored before, outside this batch`, { id: entry.id, seq });
      const conflict = this.#conflictOf(entry);
      if (conflict !== undefined) return conflict;
    }
    this.#checkRoom(entries);
    return { kind: 'appended', seqs: entries.map((entry) => this.#store(entry)), duplicate: false };
  }

  get(seq: number): StoredEntry | undefined {
    return this.#entries.get(seq);
  }

  last(subject: string): StoredEntry | undefined {
    this.#dropAged();
    return this.#entries.get(this.#bySubject.get(subject)?.last ?? 0);
  }

  /** The first entry of `subject` at or after `seq`. */
  next(subject: string, seq: number): StoredEntry | undefined {
    this.#dropAged();
    return this.#entries.get(this.#bySubject.get(subject)?.from(seq) ?? 0);
  }

  /** The first sequence stored at or after `atMs`, or the one that comes next. Entries are in order of time unless the wall clock jumped. */
  seqAt(atMs: number): number {
    for (let seq = this.firstSeq; seq <= this.#lastSeq; seq += 1) {
      const entry = this.#entries.get(seq);
      if (entry !== undefined && entry.storedAt >= atMs) return seq;
    }
    return this.#lastSeq + 1;
  }

  bounds(): LogBounds {
    this.#dropAged();
    return {
      firstSeq: this.#firstSeq,
      lastSeq: this.#lastSeq,
      entries: this.#entries.size,
      bytes: this.#bytes,
    };
  }

  remove(seq: number): void {
    const entry = this.#entries.get(seq);
    if (entry === undefined) return;
    this.#entries.delete(seq);
    this.#bytes -= entryBytes(entry.headers, entry.body);
    const seqs = this.#bySubject.get(entry.subject);
    seqs?.remove(seq);
    if (seqs?.size === 0) this.#bySubject.delete(entry.subject);
    while (this.#firstSeq <= this.#lastSeq && !this.#entries.has(this.#firstSeq)) this.#firstSeq += 1;
    for (const listener of this.#listeners) listener.removed(entry);
  }

  /** Forgets every id, as a broker does when its window is shortened or has passed. */
  forgetIds(): void {
    this.#ids.clear();
  }

  #store(entry: NewEntry): number {
    const seq = this.storeOwn({ ...entry, headers: { ...entry.headers, [MSG_ID]: entry.id } });
    this.#ids.add(entry.id, seq);
    return seq;
  }

  /** Stores what the broker itself has to say: no id, no expectation, no checks. */
  storeOwn(entry: Pick<NewEntry, 'subject' | 'headers' | 'body'>): number {
    const seq = (this.#lastSeq += 1);
    const stored: StoredEntry = {
      seq,
      subject: entry.subject,
      headers: Object.freeze({ ...entry.headers }),
      body: entry.body.slice(),
      storedAt: this.#clock.now(),
    };
    this.#entries.set(seq, stored);
    this.#bytes += entryBytes(stored.headers, stored.body);
    let seqs = this.#bySubject.get(entry.subject);
    if (seqs === undefined) this.#bySubject.set(entry.subject, (seqs = new SeqList()));
    seqs.add(seq);
    this.#dropOverflow();
    for (const listener of this.#listeners) listener.stored(stored);
    this.appended.ring();
    return seq;
  }

  #successorWithId(entry: NewEntry): number | undefined {
    if (entry.expectedSeq === undefined) return undefined;
    const after = this.next(entry.subject, entry.expectedSeq + 1);
    return after?.headers[MSG_ID] === entry.id ? after.seq : undefined;
  }

  #conflictOf(entry: NewEntry): Extract<AppendOutcome, { kind: 'conflict' }> | undefined {
    const { subject, expectedSeq } = entry;
    if (expectedSeq === undefined) return undefined;
    const actualSeq = this.#bySubject.get(subject)?.last ?? 0;
    return actualSeq === expectedSeq ? undefined : { kind: 'conflict', subject, expectedSeq, actualSeq };
  }

  /** The sequences of this very batch when it was stored before: contiguous, with the same ids on the same subjects. */
  #storedBatch(entries: readonly NewEntry[]): readonly number[] | undefined {
    const [first] = entries;
    if (first === undefined) return undefined;
    const start = this.#ids.seqOf(first.id) ?? this.#successorWithId(first);
    if (start === undefined) return undefined;
    const isSame = entries.every((entry, at) => {
      const stored = this.#entries.get(start + at);
      return stored?.subject === entry.subject && stored.headers[MSG_ID] === entry.id;
    });
    return isSame ? entries.map((_, at) => start + at) : undefined;
  }

  #checkRoom(entries: readonly NewEntry[]): void {
    const limit = this.shape.maxBytes ?? 0;
    if (limit === 0 || this.shape.discard !== 'new') return;
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry.headers, entry.body), this.#bytes);
    if (bytes <= limit) return;
    throw new Fault({
      code: 'LOG_FULL',
      retry: 'later',
      message: `stream ${this.shape.name} is full`,
      detail: { limit },
    });
  }

  #dropOverflow(): void {
    const limit = this.shape.maxBytes ?? 0;
    if (limit === 0 || this.shape.discard === 'new') return;
    while (this.#bytes > limit && this.#entries.size > 1) this.remove(this.#firstSeq);
  }

  #dropAged(): void {
    const maxAgeMs = this.shape.maxAgeMs ?? 0;
    if (maxAgeMs === 0) return;
    const oldest = this.#clock.now() - maxAgeMs;
    for (;;) {
      const entry = this.#entries.get(this.#firstSeq);
      if (entry === undefined || entry.storedAt > oldest) return;
      this.remove(this.#firstSeq);
    }
  }
}
