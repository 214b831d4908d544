// Buffers from the outside, for a person: what is in the files, also while a runner uses them, and changes to the parked records
// of a buffer that nobody uses. Delivers nothing, and never moves or mends a damaged file.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Fault } from '#libs/kernel/fault.ts';
import { openExisting, readState } from './database.ts';
import { lockBuffer } from './lock.ts';
import { hasDamagedLog } from './log-takeover.ts';
import type { BufferedRecord, ParkedRecord } from './outbox.ts';
import { PARKED_COLUMNS, readParkedRow, readRow, ROW_COLUMNS } from './row.ts';
import { isBusy, storageFault } from './storage-fault.ts';
import { Store } from './store.ts';

/** How deep below a directory a buffer is looked for. */
const DEPTH = 3;

/** A buffer as its file shows it. */
export interface BufferFacts {
  /** The path without a suffix; names the buffer. */
  readonly base: string;
  readonly bufferId: string;
  readonly isInUse: boolean;
  readonly pending: number;
  readonly pendingBytes: number;
  readonly parked: number;
  readonly nextSourceSeq: number;
}

/** A record and where it stands. */
export interface FoundRecord {
  readonly record: BufferedRecord;
  /** Null: it waits for its delivery. */
  readonly parked: Omit<ParkedRecord, 'record'> | null;
}

/** The buffers in a directory and the directories below it, by base path, sorted. */
export const findBuffers = (dir: string, depth = DEPTH): readonly string[] => {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) return depth > 0 ? findBuffers(path, depth - 1) : [];
      return /^outbox-.*\.sqlite$/.test(entry.name) ? [path.slice(0, -'.sqlite'.length)] : [];
    })
    .toSorted();
};

const isInUse = (base: string): boolean => {
  if (!existsSync(`${base}.lock`)) return false;
  const lock = new DatabaseSync(`${base}.lock`, { readOnly: true });
  try {
    lock.prepare('SELECT 1 FROM sqlite_schema').get();
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    throw error;
  } finally {
    lock.close();
  }
};

/** Reads a file that a runner may be writing. Faults: `OUTBOX_CORRUPT` (never), `OUTBOX_BUSY` (later), `OUTBOX_IO` (later). */
const reading = <T>(base: string, read: (database: DatabaseSync) => T): T => {
  const path = `${base}.sqlite`;
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      return read(database);
    } finally {
      database.close();
    }
  } catch (error) {
    throw storageFault(error, path);
  }
};

export const inspectBuffer = (base: string): BufferFacts =>
  reading(base, (database) => {
    const { bufferId, rows, bytes, parked, nextSourceSeq } = readState(database, `${base}.sqlite`);
    const usage = { pending: rows, pendingBytes: bytes, parked, nextSourceSeq };
    return { base, bufferId, isInUse: isInUse(base), ...usage };
  });

const PARKED = `SELECT ${PARKED_COLUMNS} FROM refusal JOIN record USING (source_seq)`;

/** Parked records, oldest first; a negative limit is none. */
export const parkedIn = (base: string, limit: number): readonly ParkedRecord[] =>
  reading(base, (database) => {
    const statement = database.prepare(`${PARKED} ORDER BY source_seq LIMIT ?`);
    statement.setReturnArrays(true);
    const rows: readonly unknown[] = statement.all(limit);
    return rows
      .map((row) => readParkedRow(row as readonly unknown[]))
      .filter((parked) => parked !== undefined);
  });

/** One record, waiting or parked; undefined when the buffer has none with this number. */
export const recordIn = (base: string, sourceSeq: number): FoundRecord | undefined =>
  reading(base, (database) => {
    const parkedRow = database.prepare(`${PARKED} WHERE source_seq = ?`);
    parkedRow.setReturnArrays(true);
    const parked: unknown = parkedRow.get(sourceSeq);
    const found = parked === undefined ? undefined : readParkedRow(parked as readonly unknown[]);
    if (found !== undefined) {
      const { record, ...rest } = found;
      return { record, parked: rest };
    }
    const waiting = database.prepare(`SELECT ${ROW_COLUMNS} FROM record WHERE source_seq = ?`);
    waiting.setReturnArrays(true);
    const row: unknown = waiting.get(sourceSeq);
    const read = row === undefined ? undefined : readRow(row as readonly unknown[]);
    if (read === undefined) return undefined;
    if (read.ok) return { record: read.record, parked: null };
    throw new Fault({ code: 'OUTBOX_ROW_UNREADABLE', retry: 'never', message: read.problem });
  });

const damagedLog = (base: string): Fault =>
  new Fault({
    code: 'OUTBOX_CORRUPT',
    retry: 'never',
    message: `the write-ahead log of ${base} is damaged; start its runner once, which puts on record what is missing, stop it, and try again`,
  });

/**
 * Puts parked records back (`retry`: the next process sends them again, at their place) or deletes them (`drop`). Returns the numbers
 * that were parked. Faults: `OUTBOX_LOCKED` (never) while a runner uses the buffer, and those of reading.
 */
export const changeParked = (
  base: string,
  change: { readonly kind: 'retry' | 'drop'; readonly sourceSeqs: readonly number[] },
  now: number,
): readonly number[] => {
  const lock = lockBuffer(base, now);
  try {
    // Opening it would hide that from the runner, which says what is missing.
    if (hasDamagedLog(`${base}.sqlite`, now)) throw damagedLog(base);
    const existing = openExisting(base, `${base}.sqlite`);
    if (existing === undefined) return [];
    const store = new Store(existing.database, existing.state);
    try {
      return change.sourceSeqs.filter((sourceSeq) => store.parking[change.kind](sourceSeq));
    } finally {
      store.close();
    }
  } catch (error) {
    throw storageFault(error, `${base}.sqlite`);
  } finally {
    lock.release();
  }
};
