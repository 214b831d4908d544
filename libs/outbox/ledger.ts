// Transactions of a buffer's file, all or nothing, with its counters kept in step. Knows no rules of the buffer.
import type { DatabaseSync } from 'node:sqlite';
import { invariant } from '#libs/kernel/invariant.ts';
import type { Certainty } from './outbox.ts';
import { RecentRecords } from './recent-records.ts';
import type { BufferState } from './row.ts';
import { prepareStatements, type Statements } from './statements.ts';

/** The counters while a transaction is open. */
export interface Draft {
  readonly bufferId: string;
  nextSourceSeq: number;
  rows: number;
  bytes: number;
  parked: number;
  /** Set by whatever does more than insert: the counters on disk may lag behind inserts only. */
  isStale: boolean;
}

/** Inserted rows the counters on disk may be behind: what a start counts again. */
const LAG_ROWS = 2000;

export class Ledger {
  readonly statements: Statements;
  readonly recent = new RecentRecords();
  /** Whether the table `unsent` may have something in it. */
  mayHaveUnsent = true;
  readonly #database: DatabaseSync;
  #state: BufferState;
  /** As far as the counters on disk go. */
  #writtenSeq: number;
  #certainty: Certainty = 'disk';
  /** What an earlier process wrote may be in the system's memory only. */
  #syncedSeq = 0;

  constructor(database: DatabaseSync, state: BufferState) {
    this.#database = database;
    this.statements = prepareStatements(database);
    this.#state = state;
    this.#writtenSeq = state.nextSourceSeq;
    if (state.rows === 0) this.recent.empty();
  }

  get state(): BufferState {
    return this.#state;
  }

  /** Records with lower numbers are on disk. */
  get syncedSeq(): number {
    return this.#syncedSeq;
  }

  /** The write-ahead log was brought to the disk after `seq` had become the next number. */
  noteSynced(seq: number): void {
    this.#syncedSeq = Math.max(this.#syncedSeq, seq);
  }

  transact<T>(work: (draft: Draft) => T, certainty: Certainty = 'disk'): T {
    const draft: Draft = { ...this.#state, isStale: false };
    this.#promise(certainty);
    this.statements.begin.run();
    try {
      const result = work(draft);
      const { nextSourceSeq, rows, bytes, parked, isStale } = draft;
      const isWritten = isStale || this.#lags(nextSourceSeq);
      if (isWritten) this.statements.setState.run(nextSourceSeq, rows, bytes, parked);
      this.statements.commit.run();
      if (isWritten) this.#writtenSeq = nextSourceSeq;
      this.#take(draft, certainty);
      return result;
    } catch (error) {
      // SQLite has rolled back by itself after some errors (a full disk).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  /** The same for `work` that inserts one record by one statement and does nothing else; undefined: the counters have to be written as well. */
  insertOne<T>(work: (draft: Draft) => T, certainty: Certainty): T | undefined {
    if (this.#lags(this.#state.nextSourceSeq + 1)) return undefined;
    const draft: Draft = { ...this.#state, isStale: false };
    this.#promise(certainty);
    const result = work(draft);
    this.#take(draft, certainty);
    return result;
  }

  close(): void {
    if (!this.#database.isOpen) return;
    this.#promise('disk');
    this.#database.close();
  }

  /** The counters on disk would be too far behind. */
  #lags(nextSourceSeq: number): boolean {
    return nextSourceSeq - this.#writtenSeq > LAG_ROWS;
  }

  #take({ bufferId, nextSourceSeq, rows, bytes, parked }: Draft, certainty: Certainty): void {
    this.#state = { bufferId, nextSourceSeq, rows, bytes, parked };
    // The log is synced as a whole: what was written before is there as well.
    if (certainty === 'disk') this.noteSynced(nextSourceSeq);
  }

  #promise(certainty: Certainty): void {
    if (certainty === this.#certainty) return;
    this.#database.exec(`PRAGMA synchronous = ${certainty === 'disk' ? 'FULL' : 'NORMAL'}`);
    this.#certainty = certainty;
  }
}

/** The bytes that a record counts. */
export const bytesOf = ({ statements }: Ledger, sourceSeq: number): number => {
  const bytes = statements.sizeOf.get(sourceSeq)?.['bytes'];
  invariant(typeof bytes === 'number', `record ${sourceSeq} is in the buffer`);
  return bytes;
};

export const uncount = (
  draft: Draft,
  { rows, bytes }: { readonly rows: number; readonly bytes: number },
): void => {
  draft.rows -= rows;
  draft.bytes -= bytes;
  draft.isStale = true;
};

/** Takes a live record out, as a part of a transaction. */
export const remove = (ledger: Ledger, draft: Draft, sourceSeq: number): void => {
  ledger.recent.forget();
  uncount(draft, { rows: 1, bytes: bytesOf(ledger, sourceSeq) });
  ledger.statements.remove.run(sourceSeq);
};
