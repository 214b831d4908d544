// The names that a bucket has keys for, below one tenant and project, kept in memory by a watch: for who has to know whether there is
// somebody of a name. A hint that may be a moment behind; a name that was added is there a moment later.
import type { KeyValue } from '#libs/ports/key-value.ts';

export interface NameList {
  has(name: string): boolean;
  all(): readonly string[];
  /** Keeps the list until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
}

/** `prefix` is the key up to the name: `local.main.`. */
export const createNameList = (bucket: KeyValue, prefix: string): NameList => {
  const names = new Set<string>();
  return {
    has: (name) => names.has(name),
    all: () => [...names],
    watch: async (signal) => {
      for await (const event of bucket.watch({ keys: [`${prefix}*`], signal })) {
        if (event.kind === 'current') continue;
        if (event.kind === 'put') names.add(event.entry.key.slice(prefix.length));
        else names.delete(event.key.slice(prefix.length));
      }
    },
  };
};
