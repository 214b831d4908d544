// Whether the other side can be reached: how often it could not be, why, and the growing waits between tries. It is tried for ever.
import type { Clock } from '#libs/ports/clock.ts';
import { unreachableWaitMs } from './backoff.policy.ts';
import type { OutboxEvent } from './outbox.ts';
import { WakeUp } from './wake-up.ts';

interface ContactOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly observe: (event: OutboxEvent) => void;
}

export class Contact {
  readonly #options: ContactOptions;
  readonly #wait: WakeUp;
  #failures = 0;
  #reason: string | null = null;

  constructor(options: ContactOptions) {
    this.#options = options;
    this.#wait = new WakeUp(options.clock);
  }

  /** In a row; 0: it answered last time. */
  get failures(): number {
    return this.#failures;
  }

  /** What the last of them said; null: it answered last time. */
  get reason(): string | null {
    return this.#reason;
  }

  /** It may be back: whoever waits waits no longer. */
  nudge(): void {
    this.#wait.ring();
  }

  answered(): void {
    if (this.#failures > 0) this.#options.observe({ kind: 'reachable', afterFailures: this.#failures });
    this.#failures = 0;
    this.#reason = null;
  }

  /** It could not be reached. How long to wait until it is tried again, ms. */
  failed(message: string): number {
    this.#failures += 1;
    this.#reason = message;
    const waitMs = unreachableWaitMs(this.#failures, this.#options.random());
    this.#options.observe({ kind: 'unreachable', message, failures: this.#failures, waitMs });
    return waitMs;
  }

  /** Resolves after that time, or when it is nudged. */
  wait(waitMs: number): Promise<void> {
    return this.#wait.wait(waitMs);
  }
}
