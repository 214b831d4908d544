// The limits of a turn as timers: its silence and its whole length. Time in which the agent waits for somebody else counts for neither.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import type { TurnLimits } from '#services/runner/providers/provider.ts';

export class TurnWatch {
  readonly #silenceMs: number;
  readonly #clock: Clock;
  readonly #onLimit: (reason: 'deadline' | 'silence') => void;
  #leftMs: number;
  #runningSinceMs = 0;
  #cancelDeadline: CancelTimer = () => undefined;
  #cancelSilence: CancelTimer = () => undefined;
  #pauses = 0;
  #isOver = false;

  constructor(
    { turnTimeoutMs, silenceMs }: TurnLimits,
    clock: Clock,
    onLimit: (reason: 'deadline' | 'silence') => void,
  ) {
    this.#silenceMs = silenceMs;
    this.#leftMs = turnTimeoutMs;
    this.#clock = clock;
    this.#onLimit = onLimit;
    this.#resume();
  }

  /** The agent has said something, or what it said has been taken. */
  heard(): void {
    this.#cancelSilence();
    if (this.#silenceMs > 0 && this.#pauses === 0 && !this.#isOver)
      this.#cancelSilence = this.#clock.timer(this.#silenceMs, () => this.#onLimit('silence'), {
        keepAlive: true,
      });
  }

  /** The agent waits for somebody else. */
  get isAside(): boolean {
    return this.#pauses > 0;
  }

  /** Whatever `work` takes is not the agent's time. */
  async aside<Result>(work: Promise<Result>): Promise<Result> {
    this.#pause();
    try {
      return await work;
    } finally {
      this.#pauses -= 1;
      if (this.#pauses === 0 && !this.#isOver) this.#resume();
    }
  }

  /** The agent has said its result. */
  end(): void {
    this.#isOver = true;
    this.#cancelSilence();
    this.#cancelDeadline();
  }

  #resume(): void {
    this.#runningSinceMs = this.#clock.monotonicMs();
    this.#cancelDeadline = this.#clock.timer(this.#leftMs, () => this.#onLimit('deadline'), {
      keepAlive: true,
    });
    this.heard();
  }

  #pause(): void {
    this.#pauses += 1;
    if (this.#pauses > 1 || this.#isOver) return;
    this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.monotonicMs() - this.#runningSinceMs));
    this.#cancelDeadline();
    this.#cancelSilence();
  }
}
