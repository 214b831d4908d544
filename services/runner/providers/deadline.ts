// A deadline that stands still while it is held: time in which a program waits for a person is not its own.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';

export class Deadline {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #leftMs: number;
  #runningSinceMs = 0;
  #cancel: CancelTimer = () => undefined;
  #holds = 0;
  #isStopped = false;

  /** Begins at once; `onOver` is called once, `ms` later and by as much more as it was held. */
  constructor(clock: Clock, ms: number, onOver: () => void) {
    this.#clock = clock;
    this.#leftMs = ms;
    this.#onOver = onOver;
    this.#run();
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  /** Several may hold it. Gives what releases it; harmless when repeated. */
  hold(): () => void {
    this.#holds += 1;
    if (this.#holds === 1) {
      this.#cancel();
      this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.monotonicMs() - this.#runningSinceMs));
    }
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#holds -= 1;
      if (this.#holds === 0) this.#run();
    };
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #run(): void {
    if (this.#isStopped) return;
    this.#runningSinceMs = this.#clock.monotonicMs();
    this.#cancel = this.#clock.timer(this.#leftMs, this.#onOver, { keepAlive: true });
  }
}
