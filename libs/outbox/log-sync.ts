// Brings the write-ahead log of a buffer to the disk without holding up the event loop for long: at once where the disk is quick and little is
// written, which spares the way to another thread and back, and otherwise beside it. One sync serves everything that was committed before it began. The log is one file for as long as its database is open, and syncing it is what SQLite itself does at a commit that waits
// for the disk (sqlite.org/wal.html): so the two ways can be mixed.
import { closeSync, fdatasync, fdatasyncSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { Fault } from '#libs/kernel/fault.ts';
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { makeLogRoom, type LogRoom } from './log-room.ts';
import type { Store } from './store.ts';

/** Has the system write a file to its disk. */
export type SyncFile = (handle: number) => Promise<void>;

const syncData: SyncFile = promisify(fdatasync);

export interface LogSyncOptions {
  /** Of the database. */
  readonly path: string;
  readonly store: Store;
  readonly clock: Pick<Clock, 'monotonicMs' | 'timer'>;
  /** Default: what the system does, at once or beside the event loop. */
  readonly syncFile?: SyncFile | undefined;
  /** More records are on disk. */
  readonly onSynced: () => void;
  /** Nobody can say any more what is on disk: end the process. */
  readonly onFailed: (fault: Fault) => void;
}

/** Of the event loop's time, what syncs on it may take. */
const SHARE = 0.2;
/** What may be saved up of it. */
const MOST_SAVED_MS = 2;
/** A disk that takes longer, over its last few syncs, is left to another thread for a while. */
const QUICK_MS = 1;
const ASIDE_MS = 500;
/** The longest of these whiles: each is twice as long as the one before, until a sync is quick. */
const MOST_ASIDE_MS = 10_000;
/** Commits between two looks at the size of the log, until it has been given all of it. */
const LOOK_EVERY = 32;
/** How long what can wait does, for others that go with it. */
const LATER_MS = 5;
/** Of what is known of its speed, the part that the last sync makes. */
const LAST_WEIGHS = 0.25;

export class LogSync {
  readonly #options: LogSyncOptions;
  readonly #syncFile: SyncFile;
  /** Ms that the next sync may take on the event loop. */
  #savedMs = MOST_SAVED_MS;
  #lookedAtMs = 0;
  #usualMs = 0;
  #asideMs = ASIDE_MS;
  #asideUntilMs = Number.NEGATIVE_INFINITY;
  #handle: number | undefined;
  #isWanted = false;
  #cancelLater: CancelTimer | undefined;
  /** Commits until the next look at the size of the log; infinite: it has its size. */
  #commitsUntilLook = LOOK_EVERY;
  /** The log has been given its size, which is not on disk yet. */
  #isRoomNew = false;
  #hasFailed = false;
  #running: Promise<void> | undefined;

  constructor(options: LogSyncOptions) {
    this.#options = options;
    this.#syncFile = options.syncFile ?? syncData;
  }

  /** Everything committed so far is to be on disk soon. */
  ask(): void {
    this.#isWanted = true;
    this.#cancelLater?.();
    this.#cancelLater = undefined;
    // Tried again, a sync may succeed though the system has given up the pages that it could not write.
    if (this.#hasFailed || this.#running !== undefined) return;
    if (this.#options.syncFile === undefined && this.#mayHoldUp()) this.#syncNow();
    else this.#running = this.#run();
  }

  /** The same, a few ms from now, or with the next that is in a hurry. */
  askLater(): void {
    this.#cancelLater ??= this.#options.clock.timer(LATER_MS, () => this.ask());
  }

  /** Something was written: the log that is in use is given its size at once, and its commits are on disk sooner from then on. */
  grown(): void {
    this.#commitsUntilLook -= 1;
    if (this.#commitsUntilLook === 0 && !this.#hasFailed) this.#makeRoom();
  }

  /** Resolves when nothing is under way; what can wait does so no longer. Never rejects. */
  idle(): Promise<void> {
    if (this.#cancelLater !== undefined) this.ask();
    return this.#running ?? Promise.resolve();
  }

  /** To be called when nothing is under way. */
  close(): void {
    this.#cancelLater?.();
    if (this.#handle !== undefined) closeSync(this.#handle);
    this.#handle = undefined;
  }

  #mayHoldUp(): boolean {
    const now = this.#options.clock.monotonicMs();
    this.#savedMs = Math.min(MOST_SAVED_MS, this.#savedMs + (now - this.#lookedAtMs) * SHARE);
    this.#lookedAtMs = now;
    return this.#savedMs >= QUICK_MS && now >= this.#asideUntilMs;
  }

  #syncNow(): void {
    const { store, clock, onSynced } = this.#options;
    this.#isWanted = false;
    const next = store.state.nextSourceSeq;
    try {
      if (store.syncedSeq < next) {
        const startedMs = clock.monotonicMs();
        fdatasyncSync(this.#open());
        const tookMs = clock.monotonicMs() - startedMs;
        this.#note(tookMs, startedMs);
        store.noteSynced(next);
      }
    } catch (cause) {
      return this.#fail(cause);
    }
    onSynced();
  }

  #note(tookMs: number, now: number): void {
    this.#savedMs -= tookMs;
    this.#usualMs += (tookMs - this.#usualMs) * LAST_WEIGHS;
    if (tookMs <= QUICK_MS) this.#asideMs = ASIDE_MS;
    if (this.#usualMs <= QUICK_MS) return;
    this.#asideUntilMs = now + this.#asideMs;
    this.#asideMs = Math.min(MOST_ASIDE_MS, this.#asideMs * 2);
    this.#usualMs = 0;
  }

  #open(): number {
    return (this.#handle ??= openSync(`${this.#options.path}-wal`, 'r+'));
  }

  #makeRoom(): void {
    let made: LogRoom = 'none';
    try {
      made = makeLogRoom(this.#open(), this.#options.path);
    } catch {
      // Whatever is wrong with it, a commit or a sync will say so.
    }
    this.#commitsUntilLook = made === 'early' ? LOOK_EVERY : Number.POSITIVE_INFINITY;
    if (made !== 'made') return;
    this.#isRoomNew = true;
    this.#isWanted = true;
    this.#running ??= this.#run();
  }

  #fail(cause: unknown): void {
    const { path, onFailed } = this.#options;
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
  }

  async #run(): Promise<void> {
    const { store, onSynced } = this.#options;
    try {
      while (this.#isWanted) {
        this.#isWanted = false;
        const next = store.state.nextSourceSeq;
        // A commit that waited for the disk has done it meanwhile.
        if (this.#isRoomNew || store.syncedSeq < next) {
          this.#isRoomNew = false;
          await this.#syncFile(this.#open());
          store.noteSynced(next);
        }
        onSynced();
      }
    } catch (cause) {
      this.#fail(cause);
    } finally {
      this.#running = undefined;
    }
  }
}
