// A record as a row of the buffer: how it is written, and how it is read back, which is never taken on trust.
import { z } from 'zod';
import type { Headers } from '#libs/ports/event-log.ts';
import type { BufferedRecord, NewRecord, ParkedRecord } from './outbox.ts';

/** Columns of a record, in the order of the table. */
export const SCHEMA = `
  CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1), buffer_id TEXT NOT NULL, next_source_seq INTEGER NOT NULL,
    rows INTEGER NOT NULL, bytes INTEGER NOT NULL, parked INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE record (
    source_seq INTEGER PRIMARY KEY, parked INTEGER NOT NULL, attempts INTEGER NOT NULL, worth INTEGER NOT NULL, bytes INTEGER NOT NULL,
    lane TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, occurred_at INTEGER NOT NULL, enqueued_at INTEGER NOT NULL,
    subject TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
  ) STRICT;
  CREATE TABLE refusal (
    source_seq INTEGER PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL, letter_stored INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/**
 * Tables that came later. `unsent`: what has not been sent though later numbers may have been: a lane that waits after a refusal
 * (number 0), or one record that a person put back. `latest`: the waiting record of a coalescing key.
 */
export const LATER_SCHEMA = `
  CREATE TABLE IF NOT EXISTS unsent (lane TEXT NOT NULL, source_seq INTEGER NOT NULL, PRIMARY KEY (lane, source_seq)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS latest (key TEXT PRIMARY KEY, source_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

/** What SQLite itself spends on a record, roughly; part of its bytes in the budget. */
const ROW_OVERHEAD_BYTES = 120;

/** What a record counts in the budget. */
export const sizeOf = (record: NewRecord, headers: string): number =>
  ROW_OVERHEAD_BYTES + record.subject.length + headers.length + record.body.byteLength;

/** The row's columns that a reading takes, in the order in which `readRow` expects them. */
export const ROW_COLUMNS =
  'source_seq, attempts, worth, lane, kind, id, occurred_at, enqueued_at, subject, headers, body';

const rowSchema = z.tuple([
  z.int().positive(),
  z.int().nonnegative(),
  z.int(),
  z.string(),
  z.string(),
  z.string().min(1),
  z.int(),
  z.int(),
  z.string().min(1),
  z.string(),
  z.instanceof(Uint8Array),
]);
type Row = z.infer<typeof rowSchema>;

/** The same test as the schema's without its cost: a buffer is read at 100,000 rows a second. */
const isRow = (row: readonly unknown[]): row is Row => {
  const [sourceSeq, attempts, worth, lane, kind, id, occurredAt, enqueuedAt, subject, headers, body] = row;
  return (
    Number.isInteger(sourceSeq) &&
    (sourceSeq as number) > 0 &&
    Number.isInteger(attempts) &&
    (attempts as number) >= 0 &&
    [worth, occurredAt, enqueuedAt].every(Number.isInteger) &&
    [lane, kind, headers].every((text) => typeof text === 'string') &&
    [id, subject].every((text) => typeof text === 'string' && text !== '') &&
    body instanceof Uint8Array
  );
};

const readHeaders = (text: string): Headers | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    for (const name in value)
      if (typeof (value as Record<string, unknown>)[name] !== 'string') return undefined;
    return value as Headers;
  } catch {
    return undefined;
  }
};

export type RowReading =
  | { readonly ok: true; readonly record: BufferedRecord }
  /** `sourceSeq` and `bytes` are 0 when not even they can be read. */
  | { readonly ok: false; readonly sourceSeq: number; readonly problem: string };

/** Reads a row of `record` back, selected as {@link ROW_COLUMNS}. */
export const readRow = (row: readonly unknown[]): RowReading => {
  if (!isRow(row)) return unreadable(row);
  const headers = readHeaders(row[9]);
  if (headers === undefined)
    return { ok: false, sourceSeq: row[0], problem: 'headers: not an object of texts' };
  const [sourceSeq, attempts, worth, lane, kind, id, occurredAt, enqueuedAt, subject, , body] = row;
  return {
    ok: true,
    record: { sourceSeq, attempts, worth, lane, kind, id, occurredAt, enqueuedAt, subject, headers, body },
  };
};

const NAMES = ROW_COLUMNS.split(', ');

const unreadable = (row: readonly unknown[]): RowReading => {
  const issues = rowSchema.safeParse(row).error?.issues ?? [];
  const problem = issues.map(({ path, message }) => `${NAMES[Number(path[0])] ?? ''}: ${message}`).join('; ');
  return { ok: false, sourceSeq: Number.isInteger(row[0]) ? (row[0] as number) : 0, problem };
};

const refusalSchema = z.tuple([z.string(), z.string(), z.int()]);

/** Columns of a parked row: those of the record and then those of its refusal. */
export const PARKED_COLUMNS = `${ROW_COLUMNS}, refusal.code, refusal.message, letter_stored`;

/** Reads a parked row back, selected as {@link PARKED_COLUMNS}; undefined when it cannot be read. */
export const readParkedRow = (row: readonly unknown[]): ParkedRecord | undefined => {
  const reading = readRow(row.slice(0, NAMES.length));
  const refusal = refusalSchema.safeParse(row.slice(NAMES.length));
  if (!reading.ok || !refusal.success) return undefined;
  const [code, message, letterStored] = refusal.data;
  return {
    record: reading.record,
    refusal: { code, message, attempts: reading.record.attempts },
    isLetterStored: letterStored === 1,
  };
};

export const stateRowSchema = z
  .object({
    buffer_id: z.string().min(1),
    next_source_seq: z.int().positive(),
    rows: z.int().nonnegative(),
    bytes: z.int().nonnegative(),
    parked: z.int().nonnegative(),
  })
  .transform((row) => ({
    bufferId: row.buffer_id,
    nextSourceSeq: row.next_source_seq,
    rows: row.rows,
    bytes: row.bytes,
    parked: row.parked,
  }));
export type BufferState = z.infer<typeof stateRowSchema>;

/** How many rows, and their bytes. */
export const usageRowSchema = z.object({ rows: z.int().nonnegative(), bytes: z.int().nonnegative() });

export const candidateRowSchema = z
  .object({ source_seq: z.int().positive(), lane: z.string(), kind: z.string(), bytes: z.int() })
  .transform(({ source_seq: sourceSeq, ...rest }) => ({ sourceSeq, ...rest }));

export const noteRowSchema = z.object({ key: z.string(), value: z.string() });
