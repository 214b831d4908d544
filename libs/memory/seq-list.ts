// The sequences of one subject, oldest first: additions at the end, removals almost always at the front.

export class SeqList {
  #seqs: number[] = [];
  #head = 0;

  get size(): number {
    return this.#seqs.length - this.#head;
  }

  get last(): number {
    return this.size === 0 ? 0 : (this.#seqs.at(-1) ?? 0);
  }

  add(seq: number): void {
    this.#seqs.push(seq);
  }

  remove(seq: number): void {
    if (this.#seqs[this.#head] === seq) {
      this.#head += 1;
      if (this.#head > 1_024 && this.#head * 2 > this.#seqs.length) {
        this.#seqs = this.#seqs.slice(this.#head);
        this.#head = 0;
      }
      return;
    }
    const at = this.#firstAt(seq);
    if (this.#seqs[at] === seq) this.#seqs.splice(at, 1);
  }

  /** The first sequence at or after `seq`, or undefined. Binary search. */
  from(seq: number): number | undefined {
    return this.#seqs[this.#firstAt(seq)];
  }

  #firstAt(seq: number): number {
    let low = this.#head;
    let high = this.#seqs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#seqs[middle] ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
