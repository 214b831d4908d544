// A memory bucket that can lose its last writes, as one with cheap persistence does when its broker loses power: the
// bucket is built again from its first writes, with the revisions that they had.
import type { MemoryBroker } from '#libs/memory/broker.ts';
import type { KeyValue, PutOptions, PutOutcome } from '#libs/ports/key-value.ts';

export interface RewindableBucket {
  readonly kv: KeyValue;
  /** Writes that took effect so far. */
  writes(): number;
  /** Loses the last `count` writes. */
  loseTail(count: number): Promise<void>;
}

interface Write {
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly revision: number;
}

/** Declares buckets `<name>-<n>` on the broker as it needs them. Watches do not survive a loss; lose nothing while answers get lost. */
export const rewindableBucket = (broker: MemoryBroker, name: string): RewindableBucket => {
  let generation = 0;
  let writes: Write[] = [];
  const fresh = (): KeyValue => {
    generation += 1;
    broker.declareBucket({ name: `${name}-${generation}` });
    return broker.keyValue(`${name}-${generation}`);
  };
  let bucket = fresh();
  const note = (key: string, value: Uint8Array | undefined, outcome: PutOutcome): PutOutcome => {
    if (outcome.kind === 'stored') writes.push({ key, value, revision: outcome.revision });
    return outcome;
  };
  const put = async (key: string, value: Uint8Array, options?: PutOptions): Promise<PutOutcome> => {
    const at = bucket;
    try {
      return note(key, value, await at.put(key, value, options));
    } catch (error) {
      // The answer may be lost and the write done: it is one of those that a tail consists of.
      const stored = at === bucket ? await at.get(key).catch(() => undefined) : undefined;
      if (stored !== undefined && !writes.some(({ revision }) => revision === stored.revision))
        writes.push({ key, value: stored.value, revision: stored.revision });
      throw error;
    }
  };

  return {
    kv: {
      bucket: name,
      get: (key) => bucket.get(key),
      getMany: (keys) => bucket.getMany(keys),
      put,
      putMany: (entries) => Promise.all(entries.map(({ key, value, options }) => put(key, value, options))),
      delete: async (key, options) => note(key, undefined, await bucket.delete(key, options)),
      keys: (filter) => bucket.keys(filter),
      watch: (options) => bucket.watch(options),
      watchTogether: (options) => bucket.watchTogether(options),
    },
    writes: () => writes.length,
    loseTail: async (count) => {
      const kept = writes
        .toSorted((a, b) => a.revision - b.revision)
        .slice(0, Math.max(0, writes.length - count));
      const rewound = fresh();
      const rewritten: Write[] = [];
      for (const { key, value } of kept) {
        const outcome = value === undefined ? await rewound.delete(key) : await rewound.put(key, value);
        if (outcome.kind === 'stored') rewritten.push({ key, value, revision: outcome.revision });
      }
      // In one step: whoever writes meanwhile writes to what is about to be lost.
      bucket = rewound;
      writes = rewritten;
    },
  };
};
