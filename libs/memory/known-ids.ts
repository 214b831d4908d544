// The ids that a stream remembers for its duplicate window, each with the sequence that it was first stored at.
import type { Clock } from '#libs/ports/clock.ts';

interface KnownId {
  readonly seq: number;
  readonly untilMs: number;
}

export class KnownIds {
  readonly #clock: Clock;
  readonly #windowMs: number;
  /** In the order of their expiry, because the window is one and the same for all. */
  readonly #ids = new Map<string, KnownId>();

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  add(id: string, seq: number): void {
    this.#dropExpired();
    this.#ids.set(id, { seq, untilMs: this.#clock.monotonicMs() + this.#windowMs });
  }

  /** The sequence that `id` was stored at inside the window. Asking does not extend it. */
  seqOf(id: string): number | undefined {
    this.#dropExpired();
    return this.#ids.get(id)?.seq;
  }

  clear(): void {
    this.#ids.clear();
  }

  #dropExpired(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { untilMs }] of this.#ids) {
      if (untilMs > nowMs) return;
      this.#ids.delete(id);
    }
  }
}
