// Keeps the lease of one run: renews it in time, says when it can no longer be kept, and says so before it is over.
// Measures with the monotonic clock of this machine. Decides nothing about the work.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { renewInMs, stopAtMs, type LeaseTimes } from './lease-times.policy.ts';
import type { RunsAnswer } from './runs-client.ts';

export interface LeaseKeeperOptions {
  readonly clock: Clock;
  readonly times: LeaseTimes;
  /** One request to renew. */
  readonly renew: () => Promise<RunsAnswer<{ readonly leaseMs: number; readonly cancelRequested: boolean }>>;
  readonly onRenewed: (cancelRequested: boolean) => void;
  readonly onRefused: (code: string) => void;
  /** The work has to stop now; the keeper goes on trying. */
  readonly onEnding: () => void;
}

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #times: LeaseTimes;
  #isStopped = false;
  #isAsking = false;
  #cancelRenewal: CancelTimer = () => undefined;
  #cancelEnding: CancelTimer = () => undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#times = options.times;
    this.#watchEnd();
    this.#renewIn(renewInMs(options.times, true));
  }

  /** What is known of the lease now. */
  get times(): LeaseTimes {
    return this.#times;
  }

  /** Lets the lease be. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelRenewal();
    this.#cancelEnding();
  }

  /** Asks now whether the lease is still ours: it may have been taken away. */
  renewNow(): void {
    if (this.#isStopped || this.#isAsking) return;
    this.#cancelRenewal();
    void this.#renew();
  }

  #renewIn(delayMs: number): void {
    this.#cancelRenewal = this.#options.clock.timer(delayMs, () => void this.#renew());
  }

  #watchEnd(): void {
    const { clock, onEnding } = this.#options;
    this.#cancelEnding();
    this.#cancelEnding = clock.timer(stopAtMs(this.#times) - clock.monotonicMs(), onEnding, {
      keepAlive: true,
    });
  }

  async #renew(): Promise<void> {
    const sentAtMs = this.#options.clock.monotonicMs();
    this.#isAsking = true;
    const answer = await this.#options.renew();
    this.#isAsking = false;
    if (this.#isStopped) return;
    if (answer.kind === 'refused') {
      this.stop();
      this.#options.onRefused(answer.code);
      return;
    }
    if (answer.kind === 'ok') {
      const { leaseMs, cancelRequested } = answer.result;
      this.#times = { ...this.#times, leaseMs, sentAtMs };
      this.#watchEnd();
      this.#options.onRenewed(cancelRequested);
    }
    if (!this.#isStopped) this.#renewIn(renewInMs(this.#times, answer.kind === 'ok'));
  }
}
