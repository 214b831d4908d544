// The buffer's file as operations, each one transaction: insert, deliver, refuse, park. Keeps the counters in step with the rows.
// Synchronous: a returned call is on disk (synchronous=FULL) unless it says otherwise. Does not decide when to write or what to send.
import type { DatabaseSync } from 'node:sqlite';
import { Ledger, type Draft } from './ledger.ts';
import type {
  BufferedRecord,
  Certainty,
  Change,
  Enqueued,
  NewRecord,
  Note,
  Refusal,
  StoredMark,
} from './outbox.ts';
import { bytesOf, Parking } from './parking.ts';
import {
  candidateRowSchema,
  noteRowSchema,
  readRow,
  sizeOf,
  usageRowSchema,
  type BufferState,
  type RowReading,
} from './row.ts';
import type { Candidate, Usage } from './shed.policy.ts';
import type { Statements } from './statements.ts';

/** How the records of a batch leave or stay. */
export interface Settlement {
  readonly delivered: readonly BufferedRecord[];
  readonly refused: readonly { readonly record: BufferedRecord; readonly attempts: number }[];
  readonly parked: readonly { readonly record: BufferedRecord; readonly refusal: Refusal }[];
  /** Lanes that wait after a refusal, those of this batch included. */
  readonly waitingLanes: readonly string[];
}

/** What an insert is given. */
export interface InsertMeans {
  readonly certainty: Certainty;
  readonly makeId: () => string;
  /** Whether a waiting record may be replaced: false when it can be with the other side already. */
  readonly mayReplace: (sourceSeq: number) => boolean;
  /** Called inside the transaction after the changes; may shed and add records. */
  readonly inside: (transaction: InsertTransaction) => void;
}

export interface InsertTransaction {
  insert(record: NewRecord): Enqueued;
  usage(): Usage;
  /** Records that may be shed, least worth first, oldest first. */
  candidates(): Iterable<Candidate>;
  shed(victims: readonly Candidate[]): void;
}

/** Coalescing keys between two looks for those whose record is gone. */
const PRUNE_EVERY = 4096;
/** Sorts behind everything that can follow a prefix. */
const LAST_CHARACTER = '\u{10FFFF}';

type RowArray = readonly unknown[];

export class Store {
  readonly parking: Parking;
  readonly #ledger: Ledger;
  readonly #statements: Statements;
  #keysUntilPrune = 0;

  constructor(database: DatabaseSync, state: BufferState) {
    this.#ledger = new Ledger(database, state);
    this.#statements = this.#ledger.statements;
    this.parking = new Parking(this.#ledger);
  }

  get state(): BufferState {
    return this.#ledger.state;
  }

  /** Records with lower numbers are on disk: no others may be sent. */
  get syncedSeq(): number {
    return this.#ledger.syncedSeq;
  }

  /** The write-ahead log was brought to the disk after `seq` had become the next number. */
  noteSynced(seq: number): void {
    this.#ledger.noteSynced(seq);
  }

  /** Inserts in order; `inside` runs in the same transaction after the changes. Returns what was fixed, per change. */
  insert(changes: readonly Change[], now: number, means: InsertMeans): readonly (readonly Enqueued[])[] {
    return this.#ledger.transact((draft) => {
      const insert = (record: NewRecord): Enqueued => this.#insertOne(draft, record, now, means);
      const results = changes.map(({ records, notes }) => {
        if (notes !== undefined) for (const note of notes) this.#writeNote(note);
        return records === undefined ? [] : records.map(insert);
      });
      means.inside({
        insert,
        usage: () => draft,
        candidates: () => this.#candidates(),
        shed: (victims) => {
          for (const { sourceSeq } of victims) this.#remove(draft, sourceSeq);
        },
      });
      return results;
    }, means.certainty);
  }

  /** Records in delivery order without those of `waitingLanes`. Read it to the end or `return` it before any other call. */
  *pending(waitingLanes: readonly string[]): Generator<RowReading> {
    const { pending, pendingElsewhere } = this.#statements;
    const rows =
      waitingLanes.length === 0 ? pending.iterate() : pendingElsewhere.iterate(JSON.stringify(waitingLanes));
    for (const row of rows) yield readRow(row as unknown as RowArray);
  }

  isPending(sourceSeq: number): boolean {
    return this.#statements.parkedOf.get(sourceSeq)?.['parked'] === 0;
  }

  /** The lowest number not yet delivered or parked; the next number when there is none. */
  firstPending(): number {
    const first = this.#statements.firstPending.get()?.['first'];
    return typeof first === 'number' ? first : this.state.nextSourceSeq;
  }

  /** One more than the number of the last of the first `rows` records that wait. */
  frontEnd(rows: number): number {
    const last = this.#statements.frontEnd.get(rows)?.['last'];
    return typeof last === 'number' ? last + 1 : 0;
  }

  /**
   * Written without waiting for the disk while nothing was refused: a crash of the process loses nothing of it, and after a power
   * cut the other side is asked what it has. The next insert makes it durable.
   */
  settle({ delivered, refused, parked, waitingLanes }: Settlement): void {
    const isPlain = refused.length + parked.length + waitingLanes.length === 0;
    const isFirstTry = delivered.every(({ attempts }) => attempts === 0);
    this.#ledger.transact(
      (draft) => {
        this.#removeDelivered(draft, delivered);
        for (const { record, attempts } of refused)
          this.#statements.setAttempts.run(attempts, record.sourceSeq);
        for (const { record, refusal } of parked) this.parking.park(draft, record.sourceSeq, refusal);
        if (!isPlain) this.#writeUnsent(waitingLanes);
      },
      isPlain && isFirstTry ? 'process' : 'disk',
    );
  }

  /** From now on everything may be sent but what is in these lanes. */
  setWaitingLanes(lanes: readonly string[]): void {
    if (lanes.length > 0 || this.#statements.someUnsent.get() !== undefined)
      this.#ledger.transact(() => this.#writeUnsent(lanes));
  }

  /**
   * Takes out what the other side has although no answer told so. Sound because records are sent in the order of their numbers, from
   * the front, and nothing goes past one that was not stored: what is stored is a prefix of what may have been sent, and it ends
   * at the highest mark that still waits here. Returns how many there were.
   */
  settleStored(marks: readonly StoredMark[]): number {
    const { sentWithId, usageOfSent, removeSent } = this.#statements;
    const known = marks.filter(({ sourceSeq, id }) => sentWithId.get(sourceSeq, sourceSeq, id) !== undefined);
    const top = Math.max(0, ...known.map(({ sourceSeq }) => sourceSeq));
    if (top === 0) return 0;
    return this.#ledger.transact((draft) => {
      const gone = usageRowSchema.parse(usageOfSent.get(top));
      removeSent.run(top);
      this.#uncount(draft, gone);
      return gone.rows;
    });
  }

  notes(prefix = ''): ReadonlyMap<string, unknown> {
    const rows = this.#statements.notes.all(prefix, prefix + LAST_CHARACTER);
    const notes = rows.map((row) => noteRowSchema.parse(row));
    return new Map(notes.map(({ key, value }) => [key, JSON.parse(value) as unknown]));
  }

  note(key: string): unknown {
    const row = this.#statements.note.get(key);
    return row === undefined ? undefined : (JSON.parse(noteRowSchema.parse(row).value) as unknown);
  }

  close(): void {
    this.#ledger.close();
  }

  #insertOne(draft: Draft, record: NewRecord, now: number, means: InsertMeans): Enqueued {
    const { worth, lane, kind, subject, body, replaces } = record;
    const id = record.id ?? means.makeId();
    const headers = JSON.stringify(record.headers);
    const bytes = sizeOf(record, headers);
    const occurredAt = Math.trunc(record.occurredAt ?? now);
    const enqueuedAt = Math.trunc(now);
    const key = replaces === undefined ? undefined : JSON.stringify([lane, kind, replaces]);
    const old = key === undefined ? undefined : this.#waitingOf(key, means);
    if (old !== undefined) {
      draft.bytes += bytes - bytesOf(this.#ledger, old);
      draft.isStale = true;
      this.#statements.replace.run(worth, bytes, id, occurredAt, enqueuedAt, subject, headers, body, old);
      return { sourceSeq: old, id };
    }
    const sourceSeq = draft.nextSourceSeq;
    this.#statements.insert.run(
      sourceSeq,
      worth,
      bytes,
      lane,
      kind,
      id,
      occurredAt,
      enqueuedAt,
      subject,
      headers,
      body,
    );
    draft.nextSourceSeq += 1;
    draft.rows += 1;
    draft.bytes += bytes;
    if (key !== undefined) this.#rememberLatest(key, sourceSeq);
    return { sourceSeq, id };
  }

  /** The record that one with this key replaces. */
  #waitingOf(key: string, { mayReplace }: InsertMeans): number | undefined {
    const sourceSeq = this.#statements.latestOf.get(key)?.['source_seq'];
    return typeof sourceSeq === 'number' && mayReplace(sourceSeq) ? sourceSeq : undefined;
  }

  #rememberLatest(key: string, sourceSeq: number): void {
    if (this.#keysUntilPrune === 0) {
      this.#statements.pruneLatest.run();
      this.#keysUntilPrune = PRUNE_EVERY;
    }
    this.#keysUntilPrune -= 1;
    this.#statements.setLatest.run(key, sourceSeq);
  }

  #writeNote({ key, value }: Note): void {
    if (value === null) this.#statements.removeNote.run(key);
    else this.#statements.setNote.run(key, JSON.stringify(value));
  }

  *#candidates(): Generator<Candidate> {
    for (const row of this.#statements.candidates.iterate()) yield candidateRowSchema.parse(row);
  }

  #uncount(draft: Draft, { rows, bytes }: Usage): void {
    draft.rows -= rows;
    draft.bytes -= bytes;
    draft.isStale = true;
  }

  #remove(draft: Draft, sourceSeq: number): void {
    this.#uncount(draft, { rows: 1, bytes: bytesOf(this.#ledger, sourceSeq) });
    this.#statements.remove.run(sourceSeq);
  }

  /** At once, if they are all that waits between the first and the last of them. */
  #removeDelivered(draft: Draft, delivered: readonly BufferedRecord[]): void {
    const first = delivered[0]?.sourceSeq;
    const last = delivered.at(-1)?.sourceSeq;
    if (first === undefined || last === undefined) return;
    const range = usageRowSchema.parse(this.#statements.usageOfRange.get(first, last));
    if (range.rows === delivered.length) {
      this.#statements.removeRange.run(first, last);
      this.#uncount(draft, range);
    } else for (const { sourceSeq } of delivered) this.#remove(draft, sourceSeq);
  }

  #writeUnsent(lanes: readonly string[]): void {
    this.#statements.removeUnsent.run();
    for (const lane of lanes) this.#statements.addUnsent.run(lane, 0);
  }
}
