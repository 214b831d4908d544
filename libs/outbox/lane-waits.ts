// Lanes whose head was refused: nothing is sent in one until it is due. Others do not wait for it.
import type { Clock } from '#libs/ports/clock.ts';

export class LaneWaits {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** When each is due (monotonic ms). */
  readonly #due = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Lanes that wait, those included that are due by now. */
  get lanes(): readonly string[] {
    return [...this.#due.keys()];
  }

  hold(lane: string, waitMs: number): void {
    this.#due.set(lane, this.#clock.monotonicMs() + waitMs);
  }

  /** Lets those go that are due. */
  letGo(): void {
    if (this.#due.size === 0) return;
    const now = this.#clock.monotonicMs();
    for (const [lane, dueMs] of this.#due) if (dueMs <= now) this.#due.delete(lane);
  }

  clear(): void {
    this.#due.clear();
  }

  /** When the first of them is due (monotonic ms); undefined: none waits. */
  dueMs(): number | undefined {
    return this.#due.size === 0 ? undefined : Math.min(...this.#due.values());
  }
}
