// Turns what SQLite throws into faults with a retry class. Does not decide what to do about them.
import { Fault } from '#libs/kernel/fault.ts';

const BUSY = 5;
const IO = 10;
const CORRUPT = 11;
const FULL = 13;
const NOT_A_DATABASE = 26;

/** The primary result code of an SQLite error (the low byte of the extended one), or undefined for any other error. */
const sqliteCode = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;

/** Somebody else holds a lock on the file. */
export const isBusy = (error: unknown): boolean => sqliteCode(error) === BUSY;

/** The file is damaged, or no database at all. */
export const isCorrupt = (error: unknown): boolean => {
  const code = sqliteCode(error);
  return code === CORRUPT || code === NOT_A_DATABASE;
};

const KINDS: ReadonlyMap<number, { readonly code: string; readonly retry: 'later' | 'never' }> = new Map([
  [BUSY, { code: 'OUTBOX_BUSY', retry: 'later' }],
  [IO, { code: 'OUTBOX_IO', retry: 'later' }],
  [FULL, { code: 'OUTBOX_DISK_FULL', retry: 'later' }],
  [CORRUPT, { code: 'OUTBOX_CORRUPT', retry: 'never' }],
  [NOT_A_DATABASE, { code: 'OUTBOX_CORRUPT', retry: 'never' }],
]);

/** The fault for an error of the database; faults pass unchanged, anything unknown is `OUTBOX_IO`. */
export const storageFault = (error: unknown, path: string): Fault => {
  if (error instanceof Fault) return error;
  const kind = KINDS.get(sqliteCode(error) ?? IO) ?? { code: 'OUTBOX_IO', retry: 'later' as const };
  const message = `buffer ${path}: ${error instanceof Error ? error.message : String(error)}`;
  return new Fault({ ...kind, message, detail: { path }, cause: error });
};
