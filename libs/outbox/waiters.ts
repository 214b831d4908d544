// Those who wait for a record to leave the queue, or for the queue to be empty.
import type { Store } from './store.ts';

export class Waiters {
  readonly #store: Store;
  readonly #settled = new Map<number, (() => void)[]>();
  #empty: (() => void)[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves when the record is delivered or parked; at once when it is already. */
  async settled(sourceSeq: number): Promise<void> {
    if (!this.#store.isPending(sourceSeq)) return;
    await new Promise<void>((resolve) => {
      this.#settled.set(sourceSeq, [...(this.#settled.get(sourceSeq) ?? []), resolve]);
    });
  }

  /** Resolves when nothing is pending. */
  async empty(): Promise<void> {
    if (this.#store.state.rows === 0) return;
    await new Promise<void>((resolve) => this.#empty.push(resolve));
  }

  /** Records may have left: tells whoever waits for one that has. */
  announceSettled(): void {
    for (const [sourceSeq, waiters] of this.#settled) {
      if (this.#store.isPending(sourceSeq)) continue;
      this.#settled.delete(sourceSeq);
      for (const resolve of waiters) resolve();
    }
  }

  /** Tells whoever waits for it, if nothing is pending. */
  announceEmpty(): void {
    if (this.#store.state.rows > 0) return;
    for (const resolve of this.#empty.splice(0)) resolve();
  }
}
