// The log as a port: one instance is one stream. Real: libs/nats/event-log.ts. In memory: libs/memory/event-log.ts.
// Both pass one contract suite (test/contract/event-log.ts).

/** Header names are case-sensitive; values are one line of text. */
export type Headers = Readonly<Record<string, string>>;

/** Something to append. */
export interface NewEntry {
  /** One literal subject; for an aggregate the only one it has. */
  readonly subject: string;
  /** Dedup id, at most 255 bytes, fixed at the source: an identical retry carries the same id. Becomes the header `Nats-Msg-Id`. */
  readonly id: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /**
   * Append only if the last entry of `subject` has this stream sequence; 0 means that the subject must be empty.
   * Leave it out only where order does not matter, and say why there.
   */
  readonly expectedSeq?: number;
  /** Only without an expectation: it may take its place among others of its subject in any order, so that it waits for none of them. */
  readonly inAnyOrder?: boolean;
}

/** Something stored. `headers` holds what the writer set (incl. `Nats-Msg-Id`), without the expectation and batch headers of the transport. */
export interface StoredEntry {
  readonly seq: number;
  readonly subject: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** When the log stored it, epoch ms. */
  readonly storedAt: number;
}

/**
 * What became of one append.
 * `appended`: stored at `seq`. `duplicate` is true when an entry with this id was there already: `seq` is then that entry's
 * (the retry of an append that had succeeded is told apart from a conflict, on one server and in a cluster).
 * `conflict`: another entry is last on the subject; nothing was stored; `actualSeq` is its sequence (0: the subject is empty).
 */
export type AppendOutcome =
  | { readonly kind: 'appended'; readonly seq: number; readonly duplicate: boolean }
  | {
      readonly kind: 'conflict';
      readonly subject: string;
      readonly expectedSeq: number;
      readonly actualSeq: number;
    };

/**
 * What became of an atomic batch: all entries stored contiguously (`seqs`, in order), or none.
 * `duplicate: true` means that this very batch had been stored before; `seqs` are those of that time.
 * `conflict` names the first entry whose expectation did not hold.
 */
export type BatchOutcome =
  | { readonly kind: 'appended'; readonly seqs: readonly number[]; readonly duplicate: boolean }
  | {
      readonly kind: 'conflict';
      readonly subject: string;
      readonly expectedSeq: number;
      readonly actualSeq: number;
    };

/** Where a replay begins. */
export type ReplayStart =
  | { readonly seq: number }
  /** The first entry stored at or after this time, epoch ms. */
  | { readonly atMs: number };

export interface ReplayOptions {
  /** Default: the first entry of the stream. */
  readonly from?: ReplayStart;
  /** Last sequence to deliver (inclusive). Default: the last sequence at the start of the replay, unless `follow`. */
  readonly toSeq?: number;
  /** Filters with `*` and `>`; default: everything. Filters must not be subsets of one another. */
  readonly subjects?: readonly string[];
  /** Goes on with what is appended later, until `signal` aborts. Survives broker restarts and the loss of a cluster node without gap or repeat. */
  readonly follow?: boolean;
  /** With `follow`: others in this process follow the log, too; what is the same for them may come over one reading. Changes nothing else. */
  readonly isShared?: boolean;
  /** With `isShared`: somebody waits for what follows from an entry, so it is handed out before those are given it for whom that can wait. */
  readonly isUrgent?: boolean;
  /**
   * For a reader that may be slow: so many bytes may be in memory that it has not taken, and no more is asked for before; one entry alone may be larger.
   * Default: as is fastest, which with large entries is many megabytes.
   */
  readonly aheadBytes?: number;
  /** With `follow`: called once all that was there up to this sequence, when the reading began, has been handed out. May be called again. */
  readonly onCaughtUp?: (seq: number) => void;
  readonly signal?: AbortSignal;
}

/** What the stream holds. Sequences start at 1; an empty stream has `lastSeq` of what was last stored and `firstSeq = lastSeq + 1`. */
export interface LogBounds {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly entries: number;
  readonly bytes: number;
}

/**
 * Faults of every method: `LOG_UNAVAILABLE` (later: broker away or no leader; the entry may or may not be stored, so retry with
 * the same id), `LOG_FULL` (later), `LOG_REFUSED` (never: too large, bad subject, no permission), `LOG_MISSING` (never: stream not provisioned, or made anew while it was followed).
 */
export interface EventLog {
  /** Stream name. */
  readonly stream: string;
  /**
   * Stores one entry. Concurrent appends to different subjects share one atomic batch (group commit); each keeps its own
   * expectation and its own outcome. Appends to one subject take effect in call order, but for those that are `inAnyOrder`.
   */
  append(entry: NewEntry): Promise<AppendOutcome>;
  /** Stores all or nothing, contiguous, in order; 1 to 1,000 entries, at most one per subject may carry `expectedSeq` (the first one of that subject). */
  appendTogether(entries: readonly NewEntry[]): Promise<BatchOutcome>;
  /**
   * Stores entries of different subjects one after another, each once those before it are stored, as so many calls of `append` that wait for one
   * another, but without the way to the log and back between them where nobody comes in between. The first conflict is the last outcome, and what
   * comes after it is not stored; what comes before it stays. A fault leaves open how many are stored.
   */
  appendInOrder(entries: readonly NewEntry[]): Promise<readonly AppendOutcome[]>;
  /** The last entry of a literal subject, read from the leader (never stale). */
  last(subject: string): Promise<StoredEntry | undefined>;
  /**
   * The last entry of a literal subject as whichever replica answers has it: in a cluster possibly a moment old. For a writer that
   * may read nothing but its own subjects; decisions read with `last`.
   */
  lastSeen(subject: string): Promise<StoredEntry | undefined>;
  /** The entries of one subject from a sequence on, oldest first, up to what is there now. */
  read(subject: string, fromSeq?: number): AsyncIterable<StoredEntry>;
  /** The entries of the stream in stream order. Ends at `toSeq`, or when `signal` aborts. Never skips, repeats or reorders. */
  replay(options?: ReplayOptions): AsyncIterable<StoredEntry>;
  /** The same, with what has come together handed over together: for who reads much, since each step of a loop costs more than an entry. Lists are never empty. */
  replayTogether(options?: ReplayOptions): AsyncIterable<readonly StoredEntry[]>;
  bounds(): Promise<LogBounds>;
}
