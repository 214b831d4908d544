// A lock between processes that ends with its holder, however that ends: SQLite holds it through the operating system.
// Not for network file systems, and not a queue: who finds it taken is told so at once.
import { DatabaseSync } from 'node:sqlite';

export interface ExclusiveFile {
  /** Gives the lock up. Harmless when repeated. */
  release(): void;
}

const SQLITE_BUSY = 5;

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;

/** Takes the lock on `path` (created when missing, always empty), or returns undefined when somebody holds it – even this process. */
export const takeExclusive = (path: string): ExclusiveFile | undefined => {
  const database = new DatabaseSync(path);
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
  return {
    release: () => {
      if (database.isOpen) database.close();
    },
  };
};
