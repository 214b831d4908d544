// Opens the file of a buffer, or moves an unreadable one aside and starts a new one; says which. Numbers go on above every
// number that may have been used. Checks the whole file only when it is small or a damage was seen in it before.
import { existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Fault } from '#libs/kernel/fault.ts';
import { readCeiling, type Ceiling } from './ceiling.ts';
import { LOG_PAGES } from './log-room.ts';
import { checkLog, emptyLog, forgetFound } from './log-takeover.ts';
import { LATER_SCHEMA, SCHEMA, stateRowSchema, usageRowSchema, type BufferState } from './row.ts';
import { isCorrupt, storageFault } from './storage-fault.ts';

/** 1 (read as well): without the later tables, and its counters are always up to date. */
const VERSION = 2;
/** A file of this size is read through in about 20 ms. */
const SMALL_BYTES = 16 * 1024 * 1024;

/** Numbers that were used in a buffer that is gone. */
interface LostBuffer {
  readonly problem: string;
  readonly movedTo: string | null;
  readonly firstSourceSeq: number;
  readonly lastSourceSeq: number;
}

export interface OpenedDatabase {
  readonly database: DatabaseSync;
  readonly path: string;
  readonly state: BufferState;
  readonly lost: LostBuffer | undefined;
}

const suspectPath = (base: string): string => `${base}.suspect`;

/** Has the file checked as a whole at the next open. */
export const markSuspect = (base: string): void => writeFileSync(suspectPath(base), '', { mode: 0o600 });

const unreadable = (path: string, problem: string): Fault =>
  new Fault({ code: 'OUTBOX_CORRUPT', retry: 'never', message: `buffer ${path}: ${problem}` });

const checkWhole = (database: DatabaseSync, path: string): void => {
  const row = database.prepare('PRAGMA quick_check(1)').get();
  const verdict = Object.values(row ?? {})[0];
  if (verdict !== 'ok') throw unreadable(path, String(verdict));
};

const versionOf = (database: DatabaseSync): unknown => {
  const row = database.prepare('PRAGMA user_version').get();
  return Object.values(row ?? {})[0];
};

const connect = (path: string): DatabaseSync => {
  const database = new DatabaseSync(path);
  try {
    // The wait for a lock is for a person who looks into the file with another program.
    database.exec('PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    // Moving pages from the log into the file costs two syncs, so it is done for many at once.
    database.exec(`PRAGMA wal_autocheckpoint = ${LOG_PAGES}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
};

export const readState = (database: DatabaseSync, path: string): BufferState => {
  const parsed = stateRowSchema.safeParse(database.prepare('SELECT * FROM state').get());
  if (!parsed.success) throw unreadable(path, 'it has no state of ours');
  const state = parsed.data;
  // The counters are written now and then; whatever was inserted since is still there, or they would have been written.
  const newer = 'FROM record WHERE source_seq >= ?';
  const since = database
    .prepare(
      `SELECT count(*) AS rows, coalesce(sum(bytes), 0) AS bytes, coalesce(max(source_seq) + 1, ?) AS next ${newer}`,
    )
    .get(state.nextSourceSeq, state.nextSourceSeq);
  const { rows, bytes } = usageRowSchema.parse(since);
  const nextSourceSeq = Number(since?.['next']);
  return { ...state, nextSourceSeq, rows: state.rows + rows, bytes: state.bytes + bytes };
};

const isBlank = (database: DatabaseSync): boolean =>
  database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;

export type Existing = { readonly database: DatabaseSync; readonly state: BufferState };

const addLater = (database: DatabaseSync): void => {
  database.exec('BEGIN IMMEDIATE');
  database.exec(LATER_SCHEMA);
  database.exec(`PRAGMA user_version = ${VERSION}`);
  database.exec('COMMIT');
};

/** Undefined: its creation was cut short by a crash, so nothing was ever accepted into it. */
export const openExisting = (base: string, path: string): Existing | undefined => {
  const database = connect(path);
  try {
    const version = versionOf(database);
    if (version === 0 && isBlank(database)) {
      database.close();
      return undefined;
    }
    if (typeof version === 'number' && version > VERSION)
      throw new Fault({
        code: 'OUTBOX_VERSION',
        retry: 'never',
        message: `buffer ${path} was written by a newer version (${version}, this one knows ${VERSION})`,
      });
    if (version !== VERSION && version !== 1) throw unreadable(path, 'it is not a buffer');
    if (existsSync(suspectPath(base)) || statSync(path).size <= SMALL_BYTES) checkWhole(database, path);
    if (version !== VERSION) addLater(database);
    const state = readState(database, path);
    rmSync(suspectPath(base), { force: true });
    return { database, state };
  } catch (error) {
    if (database.isOpen) database.close();
    throw error;
  }
};

const create = (path: string, bufferId: string, nextSourceSeq: number): DatabaseSync => {
  const database = connect(path);
  database.exec('BEGIN IMMEDIATE');
  database.exec(SCHEMA + LATER_SCHEMA);
  database.prepare('INSERT INTO state VALUES (1, ?, ?, 0, 0, 0)').run(bufferId, nextSourceSeq);
  database.exec(`PRAGMA user_version = ${VERSION}`);
  database.exec('COMMIT');
  return database;
};

const moveAside = (path: string, mark: string): string => {
  const target = `${path}.unreadable-${mark}`;
  for (const suffix of ['-wal', '-shm'])
    if (existsSync(path + suffix)) renameSync(path + suffix, target + suffix);
  renameSync(path, target);
  return target;
};

const isBeyondUse = (error: unknown): boolean =>
  isCorrupt(error) || (error instanceof Fault && error.code === 'OUTBOX_CORRUPT');

/** What became of the file that is there: usable, absent (or never finished), or moved aside. */
type Found =
  | { readonly kind: 'usable'; readonly existing: Existing; readonly isLogDamaged: boolean }
  | { readonly kind: 'absent' }
  | { readonly kind: 'moved'; readonly movedTo: string; readonly problem: string };

const find = (base: string, path: string, fresh: { id: string; now: number }): Found => {
  if (!existsSync(path)) return { kind: 'absent' };
  try {
    const isLogDamaged = checkLog(path, fresh.now) === 'damaged';
    const existing = openExisting(base, path);
    return existing === undefined ? { kind: 'absent' } : { kind: 'usable', existing, isLogDamaged };
  } catch (error) {
    if (!isBeyondUse(error)) throw storageFault(error, path);
    const movedTo = moveAside(path, fresh.id);
    rmSync(suspectPath(base), { force: true });
    return { kind: 'moved', movedTo, problem: error instanceof Error ? error.message : String(error) };
  }
};

/** What the log held behind its damage is gone; the rest is there. Numbers go on above all that may have been promised. */
const withoutTail = (
  { database, state }: Existing,
  path: string,
  known: Ceiling | undefined,
  now: number,
): OpenedDatabase => {
  const firstSourceSeq = state.nextSourceSeq;
  const lastSourceSeq = Math.max(known?.ceiling ?? now, firstSourceSeq);
  const lost = {
    problem: 'the end of its write-ahead log is damaged',
    movedTo: null,
    firstSourceSeq,
    lastSourceSeq,
  };
  return { database, path, state: { ...state, nextSourceSeq: lastSourceSeq + 1 }, lost };
};

/** Opens `<base>.sqlite`. `freshId` names the buffer if it has to be made. Faults as in Outbox, and `OUTBOX_VERSION` (never). */
export const openDatabase = (base: string, fresh: { id: string; now: number }): OpenedDatabase => {
  const path = `${base}.sqlite`;
  const found = find(base, path, fresh);
  const known = readCeiling(base);
  if (found.kind === 'usable' && found.isLogDamaged)
    return withoutTail(found.existing, path, known, fresh.now);
  if (found.kind === 'usable') {
    emptyLog(found.existing.database, path);
    return { ...found.existing, path, lost: undefined };
  }
  // Without any memory of the old numbers, the time in ms is above them: a buffer never took 1,000 records a second on average since 1970.
  const ceiling = known ?? (found.kind === 'moved' ? { ceiling: fresh.now, firstPending: 1 } : undefined);
  const nextSourceSeq = (ceiling?.ceiling ?? 0) + 1;
  const database = create(path, fresh.id, nextSourceSeq);
  forgetFound(path);
  const state: BufferState = { bufferId: fresh.id, nextSourceSeq, rows: 0, bytes: 0, parked: 0 };
  if (ceiling === undefined) return { database, path, state, lost: undefined };
  const facts =
    found.kind === 'moved'
      ? { problem: found.problem, movedTo: found.movedTo }
      : { problem: 'the file is gone', movedTo: null };
  const lost = { ...facts, firstSourceSeq: ceiling.firstPending, lastSourceSeq: ceiling.ceiling };
  return { database, path, state, lost };
};
