// One bucket of the memory broker: the newest record of each key in the order of revisions, expiry by the manual clock,
// and those who watch. All synchronous: a write takes effect at the call. Knows no faults of the network.
import { Fault } from '#libs/kernel/fault.ts';
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import type { PutOptions, PutOutcome } from '#libs/ports/key-value.ts';
import type { BucketShape } from './definitions.ts';
import { createSubjectMatcher, isSubjectFilter } from './subject-match.ts';

const MAX_VALUE_BYTES = 1_048_576;

/** The newest revision of a key: a value, or the marker that there is none any more. */
export interface BucketRecord {
  readonly kind: 'put' | 'deleted' | 'expired';
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
  readonly writtenAt: number;
}

export type BucketWrite =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array; readonly options?: PutOptions }
  | { readonly kind: 'delete'; readonly key: string; readonly expectedRevision?: number };

/** `KV_REFUSED`: retrying cannot help. */
const refusedKey = (message: string, detail: Readonly<Record<string, unknown>> = {}): Fault =>
  new Fault({ code: 'KV_REFUSED', retry: 'never', message, detail });

const checkKey = (key: string): void => {
  if (!/^[-/_=.a-zA-Z0-9]+$/.test(key) || key.startsWith('.') || key.endsWith('.') || key.includes('..'))
    throw refusedKey(`"${key}" is not a key`, { key });
};

const expectedRevisionOf = (write: BucketWrite): number | undefined =>
  write.kind === 'put' ? write.options?.expectedRevision : write.expectedRevision;

/** A marker counts as absent, and also as the revision that it is. */
const isAsExpected = (expected: number | undefined, now: BucketRecord | undefined): boolean =>
  expected === undefined || expected === (now?.revision ?? 0) || (expected === 0 && now?.kind !== 'put');

/** A test for key filters; throws `KV_REFUSED` for what is none. */
export const createKeyMatcher = (filters: readonly string[] | undefined): ((key: string) => boolean) => {
  for (const filter of filters ?? [])
    if (!isSubjectFilter(filter)) throw refusedKey(`"${filter}" is not a key filter`, { filter });
  return createSubjectMatcher(filters);
};

export class BucketStore {
  readonly shape: BucketShape;
  readonly #clock: Clock;
  /** In the order of revisions: each write takes its key out and puts it back at the end. */
  readonly #records = new Map<string, BucketRecord>();
  readonly #expiries = new Map<string, CancelTimer>();
  readonly #watchers = new Set<(record: BucketRecord) => void>();
  #revision = 0;

  constructor(shape: BucketShape, clock: Clock) {
    this.shape = shape;
    this.#clock = clock;
  }

  get(key: string): BucketRecord | undefined {
    return this.#records.get(key);
  }

  /** The newest records of all keys, markers included, in the order of revisions. */
  records(): IterableIterator<BucketRecord> {
    return this.#records.values();
  }

  /** Calls `notify` at every change until the returned function is called. */
  watch(notify: (record: BucketRecord) => void): () => void {
    this.#watchers.add(notify);
    return () => this.#watchers.delete(notify);
  }

  /** Throws `KV_REFUSED` for what this bucket can never store. */
  check(write: BucketWrite): void {
    checkKey(write.key);
    const expected = expectedRevisionOf(write);
    if (expected !== undefined && (!Number.isSafeInteger(expected) || expected < 0))
      throw refusedKey('an expected revision is a whole number from 0', { expected });
    if (write.kind === 'delete') return;
    if (write.value.length > MAX_VALUE_BYTES)
      throw refusedKey(`a value has at most ${MAX_VALUE_BYTES} bytes`, { bytes: write.value.length });
    const ttlMs = write.options?.ttlMs;
    if (ttlMs === undefined) return;
    if (!(ttlMs >= 1_000) || ttlMs % 1_000 !== 0)
      throw refusedKey('a key expires after whole seconds, at least one', { ttlMs });
    if ((this.shape.markerTtlMs ?? 0) === 0)
      throw refusedKey(`bucket ${this.shape.name} is not declared with markers, its keys cannot expire`);
  }

  apply(write: BucketWrite): PutOutcome {
    this.check(write);
    const now = this.#records.get(write.key);
    if (!isAsExpected(expectedRevisionOf(write), now))
      return { kind: 'conflict', actualRevision: now?.revision ?? 0 };
    if (write.kind === 'delete') return this.#stored(write.key, 'deleted', new Uint8Array());
    const outcome = this.#stored(write.key, 'put', write.value.slice());
    const ttlMs = write.options?.ttlMs;
    if (ttlMs !== undefined) this.#after(write.key, ttlMs, () => this.#expire(write.key));
    return outcome;
  }

  #stored(key: string, kind: BucketRecord['kind'], value: Uint8Array): PutOutcome {
    this.#expiries.get(key)?.();
    this.#expiries.delete(key);
    const revision = (this.#revision += 1);
    const record: BucketRecord = { kind, key, value, revision, writtenAt: this.#clock.now() };
    this.#records.delete(key);
    this.#records.set(key, record);
    for (const notify of this.#watchers) notify(record);
    return { kind: 'stored', revision };
  }

  #expire(key: string): void {
    this.#stored(key, 'expired', new Uint8Array());
    this.#after(key, this.shape.markerTtlMs ?? 0, () => {
      this.#expiries.delete(key);
      this.#records.delete(key);
    });
  }

  #after(key: string, delayMs: number, ring: () => void): void {
    this.#expiries.set(key, this.#clock.timer(delayMs, ring));
  }
}
