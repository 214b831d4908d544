// A bucket of keys as a port. Real: libs/nats/key-value.ts. In memory: libs/memory/key-value.ts. One contract suite serves both.
// KV is a cache of a fold or a lease table; nothing is decided from it alone.

export interface KeyValueEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Grows with every write to the bucket. */
  readonly revision: number;
  /** When it was written, epoch ms. */
  readonly writtenAt: number;
}

export type PutOutcome =
  | { readonly kind: 'stored'; readonly revision: number }
  /** Nothing was stored; `actualRevision` is that of the key now (0: never written or not known). */
  | { readonly kind: 'conflict'; readonly actualRevision: number };

export interface PutOptions {
  /** Write only at this revision of the key; 0: the key must not exist (a deleted or expired key counts as absent). */
  readonly expectedRevision?: number;
  /** The key expires after this time: whole seconds, at least 1,000 ms; only in buckets declared with markers. A later put without it removes the expiry. */
  readonly ttlMs?: number;
}

/** `put` carries a value; `deleted` and `expired` do not. `current` ends the initial state of a watch. A watch that finds its bucket made anew starts over: `put`s and another `current`; keys not named again are gone. */
export type WatchEvent =
  | { readonly kind: 'put'; readonly entry: KeyValueEntry }
  | { readonly kind: 'deleted' | 'expired'; readonly key: string; readonly revision: number }
  | { readonly kind: 'current' };

export interface WatchOptions {
  /** Key filters with `*` and `>` (tokens separated by dots); default all. */
  readonly keys?: readonly string[];
  /** Start after this revision instead of with the present values: later changes only (each key's newest). No `current` is sent then. */
  readonly afterRevision?: number;
  /** Values may be windows on larger buffers, which spares a copy of each: to keep one keeps all of its buffer. */
  readonly borrowsValues?: boolean;
  /** Changes may come so much later, together, so that each does not wake this process: for what is many and hurries nobody. */
  readonly lateMs?: number;
  /** Most of the bucket is of these keys: the watch may read all of it, which with several filters is far cheaper, and hands out these. */
  readonly mayReadOthers?: boolean;
  readonly signal?: AbortSignal;
}

/** Faults: `KV_UNAVAILABLE` (later), `KV_REFUSED` (never), `KV_MISSING` (never: bucket not provisioned). Keys match `[-/_=.a-zA-Z0-9]+`. */
export interface KeyValue {
  readonly bucket: string;
  /** Read from the leader: sees every write acknowledged before. */
  get(key: string): Promise<KeyValueEntry | undefined>;
  /** Many keys at once; absent ones are left out. May be stale by a replica's lag in a cluster. */
  getMany(keys: readonly string[]): Promise<ReadonlyMap<string, KeyValueEntry>>;
  put(key: string, value: Uint8Array, options?: PutOptions): Promise<PutOutcome>;
  /** Puts many keys with as few round trips as possible; each has its own outcome, in order. Not atomic (a set that fits may go as one all the same). */
  putMany(
    entries: readonly { readonly key: string; readonly value: Uint8Array; readonly options?: PutOptions }[],
  ): Promise<readonly PutOutcome[]>;
  delete(key: string, options?: { readonly expectedRevision?: number }): Promise<PutOutcome>;
  /** Keys that have a value now; `filter` as in {@link WatchOptions.keys}. */
  keys(filter?: string): AsyncIterable<string>;
  /** Supervised: after a broker restart or the loss of a cluster node it goes on where it was, without missing a key's newest value. Ends when `signal` aborts. */
  watch(options?: WatchOptions): AsyncIterable<WatchEvent>;
  /** The same, with what has come together handed over together: for who watches much, since each step of a loop costs more than an event. Lists are never empty. */
  watchTogether(options?: WatchOptions): AsyncIterable<readonly WatchEvent[]>;
}
