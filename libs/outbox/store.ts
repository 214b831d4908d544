// The buffer's file as operations, each one transaction: insert, deliver, refuse, park. Keeps the counters in step with the rows.
// Synchronous: a returned call is on disk (synchronous=FULL) unless it says otherwise. Does not decide when to write or what to send.
import type { DatabaseSync } from 'node:sqlite';
import { Inserts, type InsertMeans } from './inserts.ts';
import { Ledger, remove, uncount, type Draft } from './ledger.ts';
import type { BufferedRecord, Change, Enqueued, Refusal, StoredMark } from './outbox.ts';
import { Parking } from './parking.ts';
import { noteRowSchema, readRow, usageRowSchema, type BufferState, type RowReading } from './row.ts';
import type { Statements } from './statements.ts';

/** How the records of a batch leave or stay. */
export interface Settlement {
  readonly delivered: readonly BufferedRecord[];
  readonly refused: readonly { readonly record: BufferedRecord; readonly attempts: number }[];
  readonly parked: readonly { readonly record: BufferedRecord; readonly refusal: Refusal }[];
  /** Lanes that wait after a refusal, those of this batch included. */
  readonly waitingLanes: readonly string[];
}

/** Sorts behind everything that can follow a prefix. */
const LAST_CHARACTER = '\u{10FFFF}';

type RowArray = readonly unknown[];

export class Store {
  readonly parking: Parking;
  readonly #ledger: Ledger;
  readonly #statements: Statements;
  readonly #inserts: Inserts;

  constructor(database: DatabaseSync, state: BufferState) {
    this.#ledger = new Ledger(database, state);
    this.#statements = this.#ledger.statements;
    this.parking = new Parking(this.#ledger);
    this.#inserts = new Inserts(this.#ledger);
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

  /** Inserts in order, all or nothing. Returns what was fixed, per change. */
  insert(changes: readonly Change[], now: number, means: InsertMeans): readonly (readonly Enqueued[])[] {
    return this.#inserts.insert(changes, now, means);
  }

  /** Records in delivery order without those of `waitingLanes`. Read it to the end or `return` it before any other call. */
  *pending(waitingLanes: readonly string[]): Generator<RowReading> {
    const { pending, pendingElsewhere } = this.#statements;
    const recent = this.#ledger.recent.all;
    if (recent !== undefined && waitingLanes.length === 0) {
      for (const { record } of recent) yield { ok: true, record };
      return;
    }
    const rows =
      waitingLanes.length === 0 ? pending.iterate() : pendingElsewhere.iterate(JSON.stringify(waitingLanes));
    for (const row of rows) yield readRow(row as unknown as RowArray);
  }

  isPending(sourceSeq: number): boolean {
    const recent = this.#ledger.recent.all;
    if (recent !== undefined) return recent.some(({ record }) => record.sourceSeq === sourceSeq);
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
        if (!isPlain) this.#ledger.recent.forget();
        this.#removeDelivered(draft, delivered);
        for (const { record, attempts } of refused)
          this.#statements.setAttempts.run(attempts, record.sourceSeq);
        for (const { record, refusal } of parked) this.parking.park(draft, record.sourceSeq, refusal);
        if (!isPlain) this.#writeUnsent(waitingLanes);
      },
      isPlain && isFirstTry ? 'process' : 'disk',
    );
    this.#ledger.recent.shift(delivered.length);
    this.#noteEmpty();
  }

  /** From now on everything may be sent but what is in these lanes. */
  setWaitingLanes(lanes: readonly string[]): void {
    if (lanes.length === 0 && !this.#ledger.mayHaveUnsent) return;
    if (lanes.length > 0 || this.#statements.someUnsent.get() !== undefined)
      this.#ledger.transact(() => this.#writeUnsent(lanes));
    this.#ledger.mayHaveUnsent = lanes.length > 0;
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
    this.#ledger.recent.forget();
    const count = this.#ledger.transact((draft) => {
      const gone = usageRowSchema.parse(usageOfSent.get(top));
      removeSent.run(top);
      uncount(draft, gone);
      return gone.rows;
    });
    this.#noteEmpty();
    return count;
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

  /** At once, if they are all that waits between the first and the last of them. */
  #removeDelivered(draft: Draft, delivered: readonly BufferedRecord[]): void {
    const first = delivered[0]?.sourceSeq;
    const last = delivered.at(-1)?.sourceSeq;
    if (first === undefined || last === undefined) return;
    const bytes = this.#ledger.recent.front(delivered);
    if (bytes !== undefined) {
      this.#statements.removeRange.run(first, last);
      uncount(draft, { rows: delivered.length, bytes });
      return;
    }
    this.#ledger.recent.forget();
    const range = usageRowSchema.parse(this.#statements.usageOfRange.get(first, last));
    if (range.rows === delivered.length) {
      this.#statements.removeRange.run(first, last);
      uncount(draft, range);
    } else for (const { sourceSeq } of delivered) remove(this.#ledger, draft, sourceSeq);
  }

  #noteEmpty(): void {
    if (this.state.rows === 0) this.#ledger.recent.empty();
  }

  #writeUnsent(lanes: readonly string[]): void {
    this.#ledger.mayHaveUnsent = true;
    this.#statements.removeUnsent.run();
    for (const lane of lanes) this.#statements.addUnsent.run(lane, 0);
  }
}
