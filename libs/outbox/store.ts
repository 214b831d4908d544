// The buffer's file as operations, each one transaction: insert, deliver, refuse, park. Keeps the counters in step with the rows.
// Synchronous: a returned call is on disk (synchronous=FULL). Does not decide when to write or what to send.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { invariant } from '#libs/kernel/invariant.ts';
import type { BufferedRecord, Change, Enqueued, NewRecord, Note, ParkedRecord, Refusal } from './outbox.ts';
import { ESSENTIAL } from './outbox.ts';
import {
  candidateRowSchema,
  noteRowSchema,
  readParkedRow,
  readRow,
  sizeOf,
  type BufferState,
  type RowReading,
} from './row.ts';
import type { Candidate } from './shed.policy.ts';

/** How the records of a batch leave or stay. */
export interface Settlement {
  readonly delivered: readonly BufferedRecord[];
  readonly refused: readonly { readonly record: BufferedRecord; readonly attempts: number }[];
  readonly parked: readonly { readonly record: BufferedRecord; readonly refusal: Refusal }[];
}

/** What an insert does besides inserting: called inside the transaction, may shed and add records. */
export type InsideInsert = (transaction: InsertTransaction) => void;

export interface InsertTransaction {
  insert(record: NewRecord): Enqueued;
  usage(): BufferState;
  /** Records that may be shed, least worth first, oldest first. */
  candidates(): Iterable<Candidate>;
  shed(victims: readonly Candidate[]): void;
}

/** Parked records kept in the file once the dead letters have them. */
const KEPT_PARKED = 1000;

const PARKED_COLUMNS =
  'record.*, refusal.code AS refusal_code, refusal.message AS refusal_message, letter_stored';

const prepareAll = (database: DatabaseSync) => ({
  insert: database.prepare('INSERT INTO record VALUES (?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
  remove: database.prepare('DELETE FROM record WHERE source_seq = ?'),
  sizeOf: database.prepare('SELECT bytes FROM record WHERE source_seq = ?'),
  parkedOf: database.prepare('SELECT parked FROM record WHERE source_seq = ?'),
  setAttempts: database.prepare('UPDATE record SET attempts = ? WHERE source_seq = ?'),
  setParked: database.prepare('UPDATE record SET parked = ?, attempts = ? WHERE source_seq = ?'),
  addRefusal: database.prepare('INSERT OR REPLACE INTO refusal VALUES (?, ?, ?, 0)'),
  removeRefusal: database.prepare('DELETE FROM refusal WHERE source_seq = ?'),
  letterStored: database.prepare('UPDATE refusal SET letter_stored = 1 WHERE source_seq = ?'),
  setState: database.prepare('UPDATE state SET next_source_seq = ?, rows = ?, bytes = ?, parked = ?'),
  pending: database.prepare(
    'SELECT * FROM record WHERE parked = 0 AND lane NOT IN (SELECT value FROM json_each(?)) ORDER BY source_seq',
  ),
  firstPending: database.prepare('SELECT min(source_seq) AS first FROM record WHERE parked = 0'),
  candidates: database.prepare(
    `SELECT source_seq, lane, kind, bytes FROM record WHERE parked = 0 AND worth < ${ESSENTIAL} ORDER BY worth, source_seq`,
  ),
  parked: database.prepare(
    `SELECT ${PARKED_COLUMNS} FROM refusal JOIN record USING (source_seq) ORDER BY source_seq LIMIT ?`,
  ),
  oneParked: database.prepare(
    `SELECT ${PARKED_COLUMNS} FROM refusal JOIN record USING (source_seq) WHERE source_seq = ?`,
  ),
  letterless: database.prepare(
    `SELECT ${PARKED_COLUMNS} FROM refusal JOIN record USING (source_seq) WHERE letter_stored = 0 ORDER BY source_seq LIMIT 1`,
  ),
  oldLetters: database.prepare(
    'SELECT source_seq FROM refusal WHERE letter_stored = 1 ORDER BY source_seq DESC LIMIT -1 OFFSET ?',
  ),
  setNote: database.prepare('INSERT OR REPLACE INTO note VALUES (?, ?)'),
  removeNote: database.prepare('DELETE FROM note WHERE key = ?'),
  notes: database.prepare('SELECT key, value FROM note'),
});

export class Store {
  readonly #database: DatabaseSync;
  readonly #statements: Record<keyof ReturnType<typeof prepareAll>, StatementSync>;
  #state: BufferState;

  constructor(database: DatabaseSync, state: BufferState) {
    this.#database = database;
    this.#statements = prepareAll(database);
    this.#state = state;
  }

  get state(): BufferState {
    return this.#state;
  }

  /** Inserts in order; `inside` runs in the same transaction after the changes. Returns what was fixed, per change. */
  insert(
    changes: readonly Change[],
    now: number,
    make: { readonly id: () => string; readonly inside: InsideInsert },
  ): readonly (readonly Enqueued[])[] {
    return this.#transact((draft) => {
      const insert = (record: NewRecord): Enqueued => this.#insertOne(draft, record, now, make.id);
      const results = changes.map(({ records = [], notes = [] }) => {
        for (const note of notes) this.#writeNote(note);
        return records.map(insert);
      });
      make.inside({
        insert,
        usage: () => draft.state,
        candidates: () => this.#candidates(),
        shed: (victims) => {
          for (const { sourceSeq } of victims) this.#remove(draft, sourceSeq);
        },
      });
      return results;
    });
  }

  /** Records in delivery order without those of `blockedLanes`. Read it to the end or `return` it before any other call. */
  *pending(blockedLanes: readonly string[]): Generator<RowReading> {
    for (const row of this.#statements.pending.iterate(JSON.stringify(blockedLanes))) yield readRow(row);
  }

  isPending(sourceSeq: number): boolean {
    return this.#statements.parkedOf.get(sourceSeq)?.['parked'] === 0;
  }

  /** The lowest number not yet delivered or parked; the next number when there is none. */
  firstPending(): number {
    const first = this.#statements.firstPending.get()?.['first'];
    return typeof first === 'number' ? first : this.#state.nextSourceSeq;
  }

  /**
   * Written without waiting for the disk: a crash of the process loses nothing of it, and after a power cut the records are sent
   * again under their ids. The next insert makes it durable.
   */
  settle({ delivered, refused, parked }: Settlement): void {
    this.#database.exec('PRAGMA synchronous = NORMAL');
    try {
      this.#transact((draft) => {
        for (const { sourceSeq } of delivered) this.#remove(draft, sourceSeq);
        for (const { record, attempts } of refused)
          this.#statements.setAttempts.run(attempts, record.sourceSeq);
        for (const { record, refusal } of parked) this.#park(draft, record.sourceSeq, refusal);
      });
    } finally {
      this.#database.exec('PRAGMA synchronous = FULL');
    }
  }

  /** Parks a row that could not be read back; its content stays in the file for a person to look at. */
  parkUnreadable(sourceSeq: number, problem: string): void {
    this.#transact((draft) =>
      this.#park(draft, sourceSeq, { code: 'OUTBOX_ROW_UNREADABLE', message: problem, attempts: 0 }),
    );
  }

  parked(limit: number): readonly ParkedRecord[] {
    return this.#statements.parked
      .all(limit)
      .map((row) => readParkedRow(row))
      .filter((parked) => parked !== undefined);
  }

  /** The oldest parked record that has not been handed to the dead letters. */
  letterless(): ParkedRecord | undefined {
    const row = this.#statements.letterless.get();
    return row === undefined ? undefined : readParkedRow(row);
  }

  /** Notes that the dead letters have it. Of the records they have, the newest 1,000 stay here as well. */
  letterStored(sourceSeq: number): void {
    this.#transact((draft) => {
      this.#statements.letterStored.run(sourceSeq);
      const surplus = this.#statements.oldLetters.all(KEPT_PARKED);
      for (const { source_seq: old } of surplus) {
        this.#statements.removeRefusal.run(old ?? null);
        this.#statements.remove.run(old ?? null);
      }
      draft.state = { ...draft.state, parked: draft.state.parked - surplus.length };
    });
  }

  retry(sourceSeq: number): boolean {
    return this.#changeParked(sourceSeq, (draft) => {
      this.#statements.setParked.run(0, 0, sourceSeq);
      draft.state = { ...draft.state, parked: draft.state.parked - 1 };
      this.#count(draft, sourceSeq, 1);
    });
  }

  drop(sourceSeq: number): boolean {
    return this.#changeParked(sourceSeq, (draft) => {
      this.#statements.remove.run(sourceSeq);
      draft.state = { ...draft.state, parked: draft.state.parked - 1 };
    });
  }

  notes(): ReadonlyMap<string, unknown> {
    const rows = this.#statements.notes.all().map((row) => noteRowSchema.parse(row));
    return new Map(rows.map(({ key, value }) => [key, JSON.parse(value) as unknown]));
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #insertOne(draft: Draft, record: NewRecord, now: number, makeId: () => string): Enqueued {
    const sourceSeq = draft.state.nextSourceSeq;
    const id = record.id ?? makeId();
    const headers = JSON.stringify(record.headers);
    const bytes = sizeOf(record, headers);
    const { worth, lane, kind, subject, body } = record;
    const occurredAt = Math.trunc(record.occurredAt ?? now);
    const enqueuedAt = Math.trunc(now);
    const row = [sourceSeq, worth, bytes, lane, kind, id, occurredAt, enqueuedAt, subject, headers, body];
    this.#statements.insert.run(...row);
    const { state } = draft;
    draft.state = {
      ...state,
      nextSourceSeq: sourceSeq + 1,
      rows: state.rows + 1,
      bytes: state.bytes + bytes,
    };
    return { sourceSeq, id };
  }

  #writeNote({ key, value }: Note): void {
    if (value === null) this.#statements.removeNote.run(key);
    else this.#statements.setNote.run(key, JSON.stringify(value));
  }

  *#candidates(): Generator<Candidate> {
    for (const row of this.#statements.candidates.iterate()) yield candidateRowSchema.parse(row);
  }

  /** Adds a live row to the counters (`by` 1) or takes it out of them (−1). */
  #count(draft: Draft, sourceSeq: number, by: 1 | -1): void {
    const bytes = this.#statements.sizeOf.get(sourceSeq)?.['bytes'];
    invariant(typeof bytes === 'number', `record ${sourceSeq} is in the buffer`);
    draft.state = {
      ...draft.state,
      rows: draft.state.rows + by,
      bytes: draft.state.bytes + by * bytes,
    };
  }

  #remove(draft: Draft, sourceSeq: number): void {
    this.#count(draft, sourceSeq, -1);
    this.#statements.remove.run(sourceSeq);
  }

  #park(draft: Draft, sourceSeq: number, { code, message, attempts }: Refusal): void {
    this.#count(draft, sourceSeq, -1);
    this.#statements.setParked.run(1, attempts, sourceSeq);
    this.#statements.addRefusal.run(sourceSeq, code, message);
    draft.state = { ...draft.state, parked: draft.state.parked + 1 };
  }

  #changeParked(sourceSeq: number, change: (draft: Draft) => void): boolean {
    if (this.#statements.oneParked.get(sourceSeq) === undefined) return false;
    this.#transact((draft) => {
      this.#statements.removeRefusal.run(sourceSeq);
      change(draft);
    });
    return true;
  }

  /** All or nothing, the counters included. */
  #transact<T>(work: (draft: Draft) => T): T {
    const draft: Draft = { state: this.#state };
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = work(draft);
      const { nextSourceSeq, rows, bytes, parked } = draft.state;
      this.#statements.setState.run(nextSourceSeq, rows, bytes, parked);
      this.#database.exec('COMMIT');
      this.#state = draft.state;
      return result;
    } catch (error) {
      // SQLite has rolled back by itself after some errors (a full disk).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

interface Draft {
  state: BufferState;
}
