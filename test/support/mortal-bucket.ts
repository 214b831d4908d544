// A bucket seen by a process that may die in the middle of its writes: after a given number of them nothing more gets
// through, neither of what it was about to write nor of anything later. What it wrote before stays.
import { Fault } from '#libs/kernel/fault.ts';
import type { KeyValue, PutOptions, PutOutcome } from '#libs/ports/key-value.ts';

export interface MortalBucket {
  readonly kv: KeyValue;
  /** The process dies after `writes` more writes; 0: now. */
  dieAfter(writes: number): void;
}

/** Wraps the bucket for one process. */
export const mortalBucket = (bucket: KeyValue): MortalBucket => {
  let left = Number.POSITIVE_INFINITY;
  const alive = (cost: number): void => {
    if (left < 1)
      throw new Fault({ code: 'KV_UNAVAILABLE', retry: 'later', message: 'this process is dead' });
    left -= cost;
  };
  const put = async (key: string, value: Uint8Array, options?: PutOptions): Promise<PutOutcome> => {
    alive(1);
    return bucket.put(key, value, options);
  };
  return {
    dieAfter: (writes) => {
      left = writes;
    },
    kv: {
      bucket: bucket.bucket,
      get: async (key) => {
        alive(0);
        return bucket.get(key);
      },
      getMany: async (keys) => {
        alive(0);
        return bucket.getMany(keys);
      },
      put,
      putMany: async (entries) => {
        const outcomes: PutOutcome[] = [];
        for (const { key, value, options } of entries) outcomes.push(await put(key, value, options));
        return outcomes;
      },
      delete: async (key, options) => {
        alive(1);
        return bucket.delete(key, options);
      },
      keys: (filter) => bucket.keys(filter),
      watch: (options) => bucket.watch(options),
      watchTogether: (options) => bucket.watchTogether(options),
    },
  };
};
