// Brings the write-ahead log of a buffer to the disk without holding up the event loop. One sync serves everything that was committed
// before it began. The log is one file for as long as its database is open, and syncing it is what SQLite itself does at a commit that waits
// for the disk (sqlite.org/wal.html): so the two ways can be mixed.
import { closeSync, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { Fault } from '#libs/kernel/fault.ts';
import type { Store } from './store.ts';

/** Has the system write a file to its disk. */
export type SyncFile = (handle: number) => Promise<void>;

const syncData: SyncFile = promisify(fdatasync);

export interface LogSyncOptions {
  /** Of the database. */
  readonly path: string;
  readonly store: Store;
  readonly syncFile?: SyncFile | undefined;
  /** More records are on disk. */
  readonly onSynced: () => void;
  /** Nobody can say any more what is on disk: end the process. */
  readonly onFailed: (fault: Fault) => void;
}

export class LogSync {
  readonly #options: LogSyncOptions;
  readonly #syncFile: SyncFile;
  #handle: number | undefined;
  #isWanted = false;
  #hasFailed = false;
  #running: Promise<void> | undefined;

  constructor(options: LogSyncOptions) {
    this.#options = options;
    this.#syncFile = options.syncFile ?? syncData;
  }

  /** Everything committed so far is to be on disk soon. */
  ask(): void {
    this.#isWanted = true;
    // Tried again, a sync may succeed though the system has given up the pages that it could not write.
    if (!this.#hasFailed) this.#running ??= this.#run();
  }

  /** Resolves when nothing is under way. Never rejects. */
  idle(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  /** To be called when nothing is under way. */
  close(): void {
    if (this.#handle !== undefined) closeSync(this.#handle);
    this.#handle = undefined;
  }

  async #run(): Promise<void> {
    const { path, store, onSynced, onFailed } = this.#options;
    try {
      while (this.#isWanted) {
        this.#isWanted = false;
        const next = store.state.nextSourceSeq;
        // A commit that waited for the disk has done it meanwhile.
        if (store.syncedSeq < next) {
          this.#handle ??= openSync(`${path}-wal`, 'r+');
          await this.#syncFile(this.#handle);
          store.noteSynced(next);
        }
        onSynced();
      }
    } catch (cause) {
      this.#hasFailed = true;
      onFailed(
        new Fault({
          code: 'OUTBOX_SYNC',
          retry: 'never',
          message: `buffer ${path}: the disk did not take what was written: ${cause instanceof Error ? cause.message : String(cause)}`,
          detail: { path },
          cause,
        }),
      );
    } finally {
      this.#running = undefined;
    }
  }
}
