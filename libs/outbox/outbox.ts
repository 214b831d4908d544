// The durable buffer of one writer as a contract: what is enqueued is on disk, numbered without gaps, and delivered in order
// per lane however long the other side is away. Knows neither what the records mean nor how they are sent (see Sender).
import type { Headers } from '#libs/ports/event-log.ts';

/** Worth of a record that is never shed, however full the buffer is. */
export const ESSENTIAL = 9;

/** Something to buffer. Secrets have been taken out of it already: it is written to disk as it is. */
export interface NewRecord {
  /** Idempotency key, at most 255 bytes; default: a new ULID. Fixed here: every resend carries it. */
  readonly id?: string;
  /** Records of one lane are delivered one after another in the order of their numbers; lanes do not wait for each other. */
  readonly lane: string;
  /** What a gap and a list call it. */
  readonly kind: string;
  /** 0 (shed first when the budget is used up) to {@link ESSENTIAL} (never shed). */
  readonly worth: number;
  readonly subject: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** When it happened, epoch ms; default now. Kept over all resends. */
  readonly occurredAt?: number;
  /**
   * Coalescing: of the records of one lane and kind with one such key, only the last is worth sending. It takes the place, the
   * number and the refusals of the one that waits, in one write, unless that one may be on its way already: then it queues up.
   * Absent: never merged with anything. Not empty.
   */
  readonly replaces?: string;
}

/** A record as it is on disk. */
export interface BufferedRecord extends Required<Omit<NewRecord, 'replaces'>> {
  /** Number of this record in its buffer: from 1, without gaps, never used again, not even after a restart. */
  readonly sourceSeq: number;
  readonly enqueuedAt: number;
  /** How often it was refused. Failures to reach the other side do not count. */
  readonly attempts: number;
}

/** What an enqueue fixed. */
export interface Enqueued {
  readonly sourceSeq: number;
  readonly id: string;
}

/** A small fact kept beside the records and changed in the same transaction; `null` removes it. JSON. */
export interface Note {
  readonly key: string;
  readonly value: unknown;
}

/**
 * How sure a change is when its commit resolves. `disk`: no crash loses it. `process`: no crash of the process loses it; a power cut may,
 * with whatever else was committed since the last change that was on disk, and never in the middle. Its records are brought to the disk at
 * once, off the event loop, and none is sent before it is there; its notes get there with the next record.
 */
export type Certainty = 'disk' | 'process';

/** Records and notes that reach the disk together or not at all. */
export interface Change {
  readonly records?: readonly NewRecord[];
  readonly notes?: readonly Note[];
  /** Default `disk`. One that coalesces, and whatever is committed in the same turn of the event loop as one on `disk`, is on disk as well. */
  readonly certainty?: Certainty;
  /** Of one that is sure of the process: whether its records may wait some ms for company on their way to the disk. Default: no. */
  readonly canWait?: boolean;
}

/**
 * What became of one record of a batch. `delivered` also when it had been stored before. `refused`: understood and turned
 * down; it is tried 12 times. `unreachable`: nobody can say; it is tried for ever. `held`: not tried, because one
 * before it was not delivered.
 */
export type SendOutcome =
  | { readonly kind: 'delivered'; readonly duplicate: boolean }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string }
  | { readonly kind: 'held' };

/** What the other side has of one of its subjects: the record that it stored last. */
export interface StoredMark {
  readonly sourceSeq: number;
  readonly id: string;
}

/** Carries records to the other side, of which this buffer must be the only writer. */
export interface Sender {
  /**
   * Sends a batch in order and says what became of each record, in the order given. Stops at the first that is not delivered:
   * what follows it is `held`, so what is stored of a batch is always its front. One call at a time; after `unreachable` the
   * very same batch is sent again, but for what `lastStored` names. May throw (counts as unreachable). When `signal` aborts the
   * buffer has been closed, and the next process may send already: nothing more may be begun.
   */
  send(batch: readonly BufferedRecord[], signal?: AbortSignal): Promise<readonly SendOutcome[]>;
  /**
   * The last record that is stored on each subject of this writer. Asked at the start and after every loss of contact, before
   * anything is sent again: so nothing is stored twice, however long after. May throw: asked again later. Absent: the ids of the
   * records must do.
   */
  lastStored?(): Promise<readonly StoredMark[]>;
}

/** Records that will never be delivered: what a reader of the other side misses. */
export interface Gap {
  /** `budget`: shed from a full buffer. `lost`: the buffer file was unreadable or gone; the numbers are the most that can be missing. */
  readonly reason: 'budget' | 'lost';
  /** The lane they belonged to; the empty string for `lost`. */
  readonly lane: string;
  readonly firstSourceSeq: number;
  readonly lastSourceSeq: number;
  /** How many numbers are missing (at most, for `lost`). */
  readonly dropped: number;
  /** The missing numbers as inclusive ranges. */
  readonly ranges: readonly (readonly [number, number])[];
  /** How many of each kind; empty for `lost`. */
  readonly kinds: Readonly<Record<string, number>>;
}

/** Why a record was parked. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly attempts: number;
}

/** A record that was refused for good and waits for a person. */
export interface ParkedRecord {
  readonly record: BufferedRecord;
  readonly refusal: Refusal;
  /** Whether it has been handed to the dead letters. */
  readonly isLetterStored: boolean;
}

/** What happened, for logs and metrics. Never carries a body. */
export type OutboxEvent =
  | {
      readonly kind: 'opened';
      readonly pending: number;
      readonly parked: number;
      readonly nextSourceSeq: number;
    }
  | {
      readonly kind: 'lost';
      readonly problem: string;
      readonly movedTo: string | null;
      readonly nextSourceSeq: number;
    }
  | { readonly kind: 'shed'; readonly gap: Gap }
  | {
      readonly kind: 'unreachable';
      readonly message: string;
      readonly failures: number;
      readonly waitMs: number;
    }
  | { readonly kind: 'reachable'; readonly afterFailures: number }
  /** The other side had these records, though it never told. */
  | { readonly kind: 'found-stored'; readonly records: number }
  | {
      readonly kind: 'refused';
      readonly sourceSeq: number;
      readonly recordKind: string;
      readonly refusal: Refusal;
      readonly waitMs: number;
    }
  | {
      readonly kind: 'parked';
      readonly sourceSeq: number;
      readonly recordKind: string;
      readonly refusal: Refusal;
    }
  | { readonly kind: 'letter-failed'; readonly sourceSeq: number; readonly message: string }
  | { readonly kind: 'unreadable-row'; readonly sourceSeq: number; readonly problem: string }
  | { readonly kind: 'storage-failed'; readonly code: string; readonly message: string };

/** What is in the buffer. */
interface OutboxStatus {
  /** Records not yet delivered, without the parked ones. */
  readonly pending: number;
  readonly pendingBytes: number;
  readonly parked: number;
  readonly nextSourceSeq: number;
  /** Failures in a row to reach the other side; 0: it answered last time. */
  readonly unreachableFailures: number;
  /** What the last of them said; null: it answered last time. */
  readonly unreachableReason: string | null;
}

/**
 * Faults of writing: `OUTBOX_CLOSED` (never), `OUTBOX_KEYLESS` (never: `replaces` is empty), `OUTBOX_FULL` (later: only essential records are left and they fill twice the
 * budget), `OUTBOX_DISK_FULL` (later), `OUTBOX_BUSY` (later: another program keeps the file locked), `OUTBOX_IO` (later),
 * `OUTBOX_CORRUPT` (never: restart, the file is checked and moved aside at the next open). A failed write changed nothing. A disk that fails to
 * take what was written as sure of the process only cannot be undone: the buffer ends its process (`OUTBOX_SYNC`).
 */
export interface Outbox {
  /** Names this buffer for ever: made with the file, and a new one when the file is lost. */
  readonly bufferId: string;
  /** Resolves when the record is on disk. Concurrent calls share one transaction and keep their order. */
  enqueue(record: NewRecord): Promise<Enqueued>;
  /** Resolves when all of it is as sure as it asks to be (default: on disk), in one transaction. */
  commit(change: Change): Promise<readonly Enqueued[]>;
  /** The notes as they are on disk whose keys begin with `prefix`; default: all of them. */
  notes(prefix?: string): ReadonlyMap<string, unknown>;
  /** One note as it is on disk; undefined when there is none. Reads nothing else. */
  note(key: string): unknown;
  status(): OutboxStatus;
  /** The other side may be back: try at once instead of at the end of the wait. */
  nudge(): void;
  /** Resolves when the record with this number has left the queue: delivered, or parked. Stays pending once the buffer is closed. */
  settled(sourceSeq: number): Promise<void>;
  /** Resolves when nothing is left to deliver (parked records do not count). */
  drained(): Promise<void>;
  /** Parked records, oldest first. */
  parked(limit?: number): readonly ParkedRecord[];
  /** Puts a parked record back at its place in its lane, with no refusals on record. False: no such parked record. */
  retry(sourceSeq: number): boolean;
  /** Deletes a parked record. False: no such parked record. */
  drop(sourceSeq: number): boolean;
  /** Stops intake, delivers what can be delivered within `drainMs`, closes the file and gives up the lock. Repeatable. */
  close(options?: { readonly drainMs?: number }): Promise<{ readonly undelivered: number }>;
}
