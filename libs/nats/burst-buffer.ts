// Items that wait for their one reader, who takes all that are there at once. Synchronous for the one who adds.

export class BurstBuffer<Item> {
  #items: Item[] = [];
  #wake: (() => void) | undefined;

  add(item: Item): void {
    this.#items.push(item);
    if (this.#wake !== undefined) this.rouse();
  }

  /** Everything there is, possibly nothing. */
  take(): readonly Item[] {
    const items = this.#items;
    if (items.length > 0) this.#items = [];
    return items;
  }

  /** Resolves at the next {@link add} or {@link rouse}. For a reader that has just found nothing. */
  wait(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  /** Wakes the reader: something else has changed. */
  rouse(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
