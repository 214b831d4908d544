// The pending timers of a manual clock in the order they are due, ties in the order they were set.

/** One timer of a manual clock; `ring` is taken away when it rang or was cancelled. */
export interface Timer {
  readonly dueMs: number;
  readonly order: number;
  ring: (() => void) | undefined;
}

const isBefore = (a: Timer, b: Timer): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);

/** A binary heap of timers; cancelled ones stay until they reach the top, or until they are the majority. */
export class TimerHeap {
  #heap: Timer[] = [];
  #cancelled = 0;

  get pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !isBefore(timer, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = timer;
  }

  cancel(timer: Timer): void {
    if (timer.ring === undefined) return;
    timer.ring = undefined;
    this.#cancelled += 1;
    if (this.#cancelled > 64 && this.#cancelled * 2 > this.#heap.length) this.#compact();
  }

  /** The next live timer, left in place. */
  peek(): Timer | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (top.ring !== undefined) return top;
      this.#dropTop();
      this.#cancelled -= 1;
    }
    return undefined;
  }

  pop(): Timer | undefined {
    const top = this.peek();
    if (top !== undefined) this.#dropTop();
    return top;
  }

  #compact(): void {
    const live = this.#heap.filter((timer) => timer.ring !== undefined);
    // A sorted array is a heap.
    this.#heap = live.sort((a, b) => (isBefore(a, b) ? -1 : 1));
    this.#cancelled = 0;
  }

  #dropTop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        least = right;
        child += 1;
      }
      if (!isBefore(least, last)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
  }
}
