// Transactions of a buffer's file, all or nothing, with its counters kept in step. Knows no rules of the buffer.
import type { DatabaseSync } from 'node:sqlite';
import type { Certainty } from './outbox.ts';
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
      const { bufferId, nextSourceSeq, rows, bytes, parked, isStale } = draft;
      const isWritten = isStale || nextSourceSeq - this.#writtenSeq > LAG_ROWS;
      if (isWritten) this.statements.setState.run(nextSourceSeq, rows, bytes, parked);
      this.statements.commit.run();
      if (isWritten) this.#writtenSeq = nextSourceSeq;
      this.#state = { bufferId, nextSourceSeq, rows, bytes, parked };
      // The log is synced as a whole: what was written before is there as well.
      if (certainty === 'disk') this.noteSynced(nextSourceSeq);
      return result;
    } catch (error) {
      // SQLite has rolled back by itself after some errors (a full disk).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    if (!this.#database.isOpen) return;
    this.#promise('disk');
    this.#database.close();
  }

  #promise(certainty: Certainty): void {
    if (certainty === this.#certainty) return;
    this.#database.exec(`PRAGMA synchronous = ${certainty === 'disk' ? 'FULL' : 'NORMAL'}`);
    this.#certainty = certainty;
  }
}
