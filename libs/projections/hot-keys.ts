// The states of recently changed keys with the revisions at which the bucket holds them: what the next batch folds onto
// without a read. Bounded: the least recently used go when `trim` is called, which the writer does between batches.
import { RecentMap } from '#libs/kernel/recent-map.ts';
import type { Stamped } from './projection.ts';

/** A key as the bucket is known to hold it. `revision` 0: the key does not exist. */
export interface HotKey<State> {
  readonly stored: Stamped<State>;
  readonly revision: number;
}

export class HotKeys<State> {
  readonly #capacity: number;
  readonly #keys = new RecentMap<HotKey<State>>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#keys.size;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  get(key: string): HotKey<State> | undefined {
    return this.#keys.peek(key);
  }

  /** Makes the key the most recently used one. */
  set(key: string, hot: HotKey<State>): void {
    this.#keys.set(key, hot);
  }

  drop(key: string): void {
    this.#keys.delete(key);
  }

  trim(): void {
    this.#keys.trim(this.#capacity);
  }
}
