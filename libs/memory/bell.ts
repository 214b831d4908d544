// A wake-up for those who wait until something may have changed. Carries no value: whoever wakes looks again.

/** Asked in loops: an abort comes from outside while the loop awaits. */
export const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

export class Bell {
  #waiting = new Set<() => void>();

  /** Wakes everyone who waits now. */
  ring(): void {
    if (this.#waiting.size === 0) return;
    const woken = this.#waiting;
    this.#waiting = new Set();
    for (const wake of woken) wake();
  }

  /** Resolves at the next ring, or when `signal` aborts. */
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (isAborted(signal)) return resolve();
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }
}
