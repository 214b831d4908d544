// A wait that ends at a ring or after a time. A ring that comes while nobody waits is kept for the next wait.
import type { Clock } from '#libs/ports/clock.ts';

export class WakeUp {
  readonly #clock: Clock;
  #isRung = false;
  #resume: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    if (this.#resume === undefined) this.#isRung = true;
    else this.#resume();
  }

  /** Resolves at a ring or after `waitMs` (undefined: at a ring only). One waiter at a time. Its timer does not keep the process alive. */
  async wait(waitMs: number | undefined): Promise<void> {
    if (this.#isRung) {
      this.#isRung = false;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resume = resolve;
    const cancel = waitMs === undefined ? undefined : this.#clock.timer(waitMs, resolve);
    await promise;
    this.#resume = undefined;
    cancel?.();
  }
}
