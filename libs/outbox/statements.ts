// The buffer's SQL, prepared once for an open file. No decisions.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { ESSENTIAL } from './outbox.ts';
import { PARKED_COLUMNS, ROW_COLUMNS } from './row.ts';

const PENDING = `SELECT ${ROW_COLUMNS} FROM record WHERE parked = 0`;
const PARKED = `SELECT ${PARKED_COLUMNS} FROM refusal JOIN record USING (source_seq)`;
/** Live records up to a number that may have been sent. */
const SENT = `FROM record WHERE source_seq <= ? AND parked = 0
  AND lane NOT IN (SELECT lane FROM unsent WHERE source_seq = 0) AND source_seq NOT IN (SELECT source_seq FROM unsent)`;

const SQL = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  insert: 'INSERT INTO record VALUES (?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  replace:
    'UPDATE record SET worth = ?, bytes = ?, id = ?, occurred_at = ?, enqueued_at = ?, subject = ?, headers = ?, body = ? WHERE source_seq = ?',
  remove: 'DELETE FROM record WHERE source_seq = ?',
  removeRange: 'DELETE FROM record WHERE source_seq BETWEEN ? AND ? AND parked = 0',
  usageOfRange:
    'SELECT count(*) AS rows, coalesce(sum(bytes), 0) AS bytes FROM record WHERE source_seq BETWEEN ? AND ? AND parked = 0',
  usageOfSent: `SELECT count(*) AS rows, coalesce(sum(bytes), 0) AS bytes ${SENT}`,
  removeSent: `DELETE ${SENT}`,
  sentWithId: `SELECT 1 ${SENT} AND source_seq = ? AND id = ?`,
  sizeOf: 'SELECT bytes FROM record WHERE source_seq = ?',
  parkedOf: 'SELECT parked FROM record WHERE source_seq = ?',
  setAttempts: 'UPDATE record SET attempts = ? WHERE source_seq = ?',
  setParked: 'UPDATE record SET parked = ?, attempts = ? WHERE source_seq = ?',
  addRefusal: 'INSERT OR REPLACE INTO refusal VALUES (?, ?, ?, 0)',
  removeRefusal: 'DELETE FROM refusal WHERE source_seq = ?',
  letterStored: 'UPDATE refusal SET letter_stored = 1 WHERE source_seq = ?',
  setState: 'UPDATE state SET next_source_seq = ?, rows = ?, bytes = ?, parked = ?',
  pending: `${PENDING} ORDER BY source_seq`,
  pendingElsewhere: `${PENDING} AND lane NOT IN (SELECT value FROM json_each(?)) ORDER BY source_seq`,
  firstPending: 'SELECT min(source_seq) AS first FROM record WHERE parked = 0',
  frontEnd: `SELECT max(source_seq) AS last FROM (SELECT source_seq FROM record WHERE parked = 0
    AND lane NOT IN (SELECT lane FROM unsent WHERE source_seq = 0) ORDER BY source_seq LIMIT ?)`,
  candidates: `SELECT source_seq, lane, kind, bytes FROM record WHERE parked = 0 AND worth < ${ESSENTIAL} ORDER BY worth, source_seq`,
  parked: `${PARKED} ORDER BY source_seq LIMIT ?`,
  oneParked: `${PARKED} WHERE source_seq = ?`,
  letterless: `${PARKED} WHERE letter_stored = 0 ORDER BY source_seq LIMIT 1`,
  oldLetters:
    'SELECT source_seq FROM refusal WHERE letter_stored = 1 ORDER BY source_seq DESC LIMIT -1 OFFSET ?',
  setNote: 'INSERT OR REPLACE INTO note VALUES (?, ?)',
  removeNote: 'DELETE FROM note WHERE key = ?',
  notes: 'SELECT key, value FROM note WHERE key >= ? AND key < ?',
  note: 'SELECT key, value FROM note WHERE key = ?',
  addUnsent: 'INSERT OR REPLACE INTO unsent VALUES (?, ?)',
  removeUnsent: 'DELETE FROM unsent',
  someUnsent: 'SELECT 1 FROM unsent LIMIT 1',
  laneOf: 'SELECT lane FROM record WHERE source_seq = ?',
  latestOf: 'SELECT source_seq FROM latest JOIN record USING (source_seq) WHERE key = ? AND parked = 0',
  setLatest: 'INSERT OR REPLACE INTO latest VALUES (?, ?)',
  pruneLatest: 'DELETE FROM latest WHERE source_seq NOT IN (SELECT source_seq FROM record)',
} as const;

export type Statements = Readonly<Record<keyof typeof SQL, StatementSync>>;

/** Those whose rows are read as arrays, in the order of their columns. */
const ARRAYS: readonly (keyof typeof SQL)[] = [
  'pending',
  'pendingElsewhere',
  'parked',
  'oneParked',
  'letterless',
];

export const prepareStatements = (database: DatabaseSync): Statements => {
  const entries = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)] as const);
  const statements = Object.fromEntries(entries) as Statements;
  for (const name of ARRAYS) statements[name].setReturnArrays(true);
  return statements;
};
