// Times in which somebody who has gone may come back, by name. Holds timers and nothing else.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';

export class Graces {
  readonly #clock: Clock;
  readonly #graceMs: number;
  readonly #onOver: (name: string) => void;
  readonly #running = new Map<string, CancelTimer>();

  /** `onOver` is called for each name whose grace is over. */
  constructor(clock: Clock, graceMs: number, onOver: (name: string) => void) {
    this.#clock = clock;
    this.#graceMs = graceMs;
    this.#onOver = onOver;
  }

  /** It has gone: its grace begins, anew if it runs. */
  begin(name: string): void {
    this.end(name);
    const cancel = this.#clock.timer(this.#graceMs, () => {
      this.#running.delete(name);
      this.#onOver(name);
    });
    this.#running.set(name, cancel);
  }

  /** It is back. */
  end(name: string): void {
    this.#running.get(name)?.();
    this.#running.delete(name);
  }

  /** Forgets all. */
  clear(): void {
    for (const cancel of this.#running.values()) cancel();
    this.#running.clear();
  }
}
