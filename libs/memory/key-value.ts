// The bucket port over a bucket of the memory broker. Writes take effect at the call; a watch keeps the keys that have
// changed since its last event, in the order of their revisions, so that it needs no more memory than there are keys.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue, KeyValueEntry, WatchEvent, WatchOptions } from '#libs/ports/key-value.ts';
import { Bell, isAborted } from './bell.ts';
import { type BucketRecord, type BucketStore, type BucketWrite, createKeyMatcher } from './bucket-store.ts';
import { type FaultSwitch, unreachableBroker } from './faults.ts';

const UNAVAILABLE = 'KV_UNAVAILABLE';

/** What a bucket needs of its broker; `store` throws `KV_MISSING` when it is not provisioned. */
export interface BucketParts {
  readonly bucket: string;
  readonly clock: Clock;
  readonly faults: FaultSwitch;
  readonly store: () => BucketStore;
}

/** The fault of a bucket that nobody provisioned. */
export const missingBucket = (bucket: string): Fault =>
  new Fault({ code: 'KV_MISSING', retry: 'never', message: `bucket ${bucket} is not provisioned` });

const toEntry = (record: BucketRecord): KeyValueEntry => ({
  key: record.key,
  value: record.value,
  revision: record.revision,
  writtenAt: record.writtenAt,
});

const toEvent = (record: BucketRecord): WatchEvent =>
  record.kind === 'put'
    ? { kind: 'put', entry: toEntry(record) }
    : { kind: record.kind, key: record.key, revision: record.revision };

/** The newest record of each changed key, in the order of revisions. */
class ChangedKeys {
  readonly bell = new Bell();
  readonly #records = new Map<string, BucketRecord>();

  add(record: BucketRecord): void {
    this.#records.delete(record.key);
    this.#records.set(record.key, record);
    this.bell.ring();
  }

  take(): BucketRecord | undefined {
    for (const [key, record] of this.#records) {
      this.#records.delete(key);
      return record;
    }
    return undefined;
  }
}

/** Resolves when there may be something to take, or the broker is back. */
const nextChange = async (
  { faults, clock }: BucketParts,
  { bell }: ChangedKeys,
  { signal, lateMs = 0 }: WatchOptions,
): Promise<void> => {
  if (faults.isAway) return faults.reachable(signal);
  await bell.wait(signal);
  if (lateMs > 0) await clock.sleep(lateMs, signal);
};

/** Events without the faults of the way: initial values, `current`, then changes. Stops changing `changed` when closed. */
async function* events(
  parts: BucketParts,
  store: BucketStore,
  options: WatchOptions,
): AsyncGenerator<WatchEvent> {
  const { signal, afterRevision } = options;
  const isWanted = createKeyMatcher(options.keys);
  const changed = new ChangedKeys();
  const initial = new Set<string>();
  for (const record of store.records()) {
    if (!isWanted(record.key)) continue;
    if (afterRevision !== undefined && record.revision > afterRevision) changed.add(record);
    if (afterRevision !== undefined || record.kind !== 'put') continue;
    changed.add(record);
    initial.add(record.key);
  }
  const unwatch = store.watch((record) => {
    if (isWanted(record.key)) changed.add(record);
  });
  let isCurrent = afterRevision !== undefined;
  try {
    while (!isAborted(signal)) {
      if (!isCurrent && initial.size === 0) {
        isCurrent = true;
        yield { kind: 'current' };
        continue;
      }
      const record = parts.faults.isAway ? undefined : changed.take();
      if (record !== undefined) {
        initial.delete(record.key);
        yield toEvent(record);
      } else await nextChange(parts, changed, options);
    }
  } finally {
    unwatch();
  }
}

async function* watch(parts: BucketParts, options: WatchOptions): AsyncGenerator<WatchEvent> {
  const { clock, faults } = parts;
  const { signal } = options;
  await faults.reachable(signal);
  if (isAborted(signal)) return;
  const place = { name: parts.bucket };
  for await (const event of events(parts, parts.store(), options)) {
    const delayMs = faults.delayMs('watchDelayMs', place);
    if (delayMs > 0) await clock.sleep(delayMs, signal);
    if (isAborted(signal)) return;
    yield event;
  }
}

/** Each comes alone here, in the order and with the delays of {@link watch}. */
async function* watchTogether(
  parts: BucketParts,
  options: WatchOptions,
): AsyncGenerator<readonly WatchEvent[]> {
  for await (const event of watch(parts, options)) yield [event];
}

async function* liveKeys(parts: BucketParts, filter: string | undefined): AsyncGenerator<string> {
  parts.faults.check(UNAVAILABLE);
  const isWanted = createKeyMatcher(filter === undefined ? undefined : [filter]);
  const live = [...parts.store().records()].filter(({ kind, key }) => kind === 'put' && isWanted(key));
  for (const { key } of live) yield key;
}

/** The port of one bucket. All ports of the bucket see the same keys. */
export const createMemoryKeyValue = (parts: BucketParts): KeyValue => {
  const { faults } = parts;
  const place = { name: parts.bucket };

  const reach = (): BucketStore => {
    faults.check(UNAVAILABLE);
    return parts.store();
  };

  const write = async (change: BucketWrite) => {
    const store = reach();
    if (faults.happens('dropWrite', place)) throw unreachableBroker(UNAVAILABLE);
    const outcome = store.apply(change);
    if (faults.happens('loseWriteAck', place)) throw unreachableBroker(UNAVAILABLE);
    return outcome;
  };

  const failSome = (): void => {
    if (faults.happens('failRead', place)) throw unreachableBroker(UNAVAILABLE);
  };

  const present = (key: string): KeyValueEntry | undefined => {
    const record = reach().get(key);
    return record?.kind === 'put' ? toEntry(record) : undefined;
  };

  /** What is read is what it is now; only the way back takes time. */
  const answer = async <T>(found: T): Promise<T> => {
    const delayMs = faults.delayMs('readDelayMs', place);
    if (delayMs > 0) await parts.clock.sleep(delayMs);
    return found;
  };

  return {
    bucket: parts.bucket,
    get: async (key) => {
      reach();
      failSome();
      return answer(present(key));
    },
    getMany: async (keys) => {
      const found = new Map<string, KeyValueEntry>();
      reach();
      failSome();
      for (const key of keys) {
        const entry = present(key);
        if (entry !== undefined) found.set(key, entry);
      }
      return answer(found);
    },
    put: (key, value, options = {}) => write({ kind: 'put', key, value, options }),
    putMany: async (entries) => {
      const changes = entries.map((entry): BucketWrite => ({ kind: 'put', ...entry }));
      for (const change of changes) reach().check(change);
      return Promise.all(changes.map((change) => write(change)));
    },
    delete: (key, options = {}) => write({ kind: 'delete', key, ...options }),
    keys: (filter) => liveKeys(parts, filter),
    watch: (options = {}) => watch(parts, options),
    watchTogether: (options = {}) => watchTogether(parts, options),
  };
};
