// A record as a row of the buffer: how it is written, and how it is read back, which is never taken on trust.
import { z } from 'zod';
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

/** What SQLite itself spends on a record, roughly; part of its bytes in the budget. */
const ROW_OVERHEAD_BYTES = 120;

/** What a record counts in the budget. */
export const sizeOf = (record: NewRecord, headers: string): number =>
  ROW_OVERHEAD_BYTES + record.subject.length + headers.length + record.body.byteLength;

const headersSchema = z.record(z.string(), z.string());

const rowSchema = z
  .object({
    source_seq: z.int().positive(),
    attempts: z.int().nonnegative(),
    worth: z.int(),
    bytes: z.int().nonnegative(),
    lane: z.string(),
    kind: z.string(),
    id: z.string().min(1),
    occurred_at: z.int(),
    enqueued_at: z.int(),
    subject: z.string().min(1),
    headers: z.string(),
    body: z.instanceof(Uint8Array),
  })
  .transform((row, context): BufferedRecord => {
    let headers: Readonly<Record<string, string>> = {};
    try {
      headers = headersSchema.parse(JSON.parse(row.headers));
    } catch {
      context.addIssue({ code: 'custom', path: ['headers'], message: 'not an object of texts' });
    }
    return {
      sourceSeq: row.source_seq,
      attempts: row.attempts,
      worth: row.worth,
      lane: row.lane,
      kind: row.kind,
      id: row.id,
      occurredAt: row.occurred_at,
      enqueuedAt: row.enqueued_at,
      subject: row.subject,
      headers,
      body: row.body,
    };
  });

export type RowReading =
  | { readonly ok: true; readonly record: BufferedRecord }
  /** `sourceSeq` and `bytes` are 0 when not even they can be read. */
  | { readonly ok: false; readonly sourceSeq: number; readonly problem: string };

const seqSchema = z.object({ source_seq: z.int().positive() });

/** Reads a row of `record` back. */
export const readRow = (row: unknown): RowReading => {
  const parsed = rowSchema.safeParse(row);
  if (parsed.success) return { ok: true, record: parsed.data };
  const problem = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  const seq = seqSchema.safeParse(row);
  return { ok: false, sourceSeq: seq.success ? seq.data.source_seq : 0, problem };
};

const refusalSchema = z.object({
  refusal_code: z.string(),
  refusal_message: z.string(),
  letter_stored: z.int(),
});

/** Reads a parked row (joined with its refusal) back; undefined when it cannot be read. */
export const readParkedRow = (row: unknown): ParkedRecord | undefined => {
  const reading = readRow(row);
  const refusal = refusalSchema.safeParse(row);
  if (!reading.ok || !refusal.success) return undefined;
  const { refusal_code: code, refusal_message: message, letter_stored: letterStored } = refusal.data;
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

export const candidateRowSchema = z
  .object({ source_seq: z.int().positive(), lane: z.string(), kind: z.string(), bytes: z.int() })
  .transform(({ source_seq: sourceSeq, ...rest }) => ({ sourceSeq, ...rest }));

export const noteRowSchema = z.object({ key: z.string(), value: z.string() });
