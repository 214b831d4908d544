// One user at a time of a worktree, also across processes: a lock that SQLite holds through the operating system, so it ends with its holder
// however that ends and never has to be broken. Not for network file systems.
import { rmSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { isBusy } from '#libs/outbox/storage-fault.ts';

export interface WorkspaceLock {
  /** Harmless when repeated. */
  release(): void;
  /** Releases it and takes its file away: the workspace is gone. */
  releaseForGood(): void;
}

const fileOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;

const tryOnce = (path: string): WorkspaceLock | 'busy' | 'replaced' => {
  const database = new DatabaseSync(path);
  const file = fileOf(path);
  try {
    // Written to, so that the file is more than a name.
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (isBusy(error)) return 'busy';
    throw error;
  }
  const release = (): void => {
    if (database.isOpen) database.close();
  };
  // Whoever held it before may have taken the file away after we had opened it: then we hold nothing that others see.
  if (file === undefined || fileOf(path) !== file) {
    release();
    return 'replaced';
  }
  return {
    release,
    releaseForGood: () => {
      if (database.isOpen) rmSync(path, { force: true });
      release();
    },
  };
};

/** Takes the lock; undefined: somebody else has it. */
export const tryLock = (path: string): WorkspaceLock | undefined => {
  for (;;) {
    const lock = tryOnce(path);
    if (lock === 'busy') return undefined;
    if (lock !== 'replaced') return lock;
  }
};
