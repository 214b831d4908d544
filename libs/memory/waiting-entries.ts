// The entries of a consumer that wait for another delivery, with the attempts they have behind them.
// Those that are due go in the order of the stream. What was ended while it waited is passed over.

export class WaitingEntries {
  readonly #attempts = new Map<number, number>();
  /** Ascending. May name some that have been ended by now. */
  #due: number[] = [];

  get size(): number {
    return this.#attempts.size;
  }

  attemptsOf(seq: number): number | undefined {
    return this.#attempts.get(seq);
  }

  /** Waits, and is not due before {@link makeDue}. */
  add(seq: number, attempts: number): void {
    this.#attempts.set(seq, attempts);
  }

  makeDue(seq: number, attempts: number): void {
    this.#attempts.set(seq, attempts);
    let at = this.#due.length;
    while (at > 0 && (this.#due[at - 1] ?? 0) > seq) at -= 1;
    this.#due.splice(at, 0, seq);
  }

  delete(seq: number): void {
    this.#attempts.delete(seq);
  }

  /** Takes out the first that is due. */
  takeDue(): { readonly seq: number; readonly attempts: number } | undefined {
    for (let seq = this.#due.shift(); seq !== undefined; seq = this.#due.shift()) {
      const attempts = this.#attempts.get(seq);
      if (attempts === undefined) continue;
      this.#attempts.delete(seq);
      return { seq, attempts };
    }
    return undefined;
  }
}
