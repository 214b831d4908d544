// What the other side may have without our knowing: after a start, and whenever an answer was lost. It is asked before anything goes again.
import type { BatchLimits } from './batch.policy.ts';
import type { BufferedRecord, OutboxEvent, Sender, StoredMark } from './outbox.ts';
import type { Store } from './store.ts';

interface DoubtOptions {
  readonly store: Store;
  readonly sender: Sender;
  readonly limits: BatchLimits;
  readonly observe: (event: OutboxEvent) => void;
}

export class InDoubt {
  readonly #options: DoubtOptions;
  /** Whether it may have records that are still here, because an answer was lost, in this process or the one before. */
  #is = true;
  #inFlight: ReadonlySet<number> = new Set();
  /** Until it was asked after a start: numbers of the process before, and those of them that may have been on their way. */
  #earlierBelow: number;
  #doubtfulBelow: number;

  constructor(options: DoubtOptions) {
    const { store, sender, limits } = options;
    this.#options = options;
    this.#earlierBelow = sender.lastStored === undefined ? 0 : store.state.nextSourceSeq;
    this.#doubtfulBelow = store.frontEnd(limits.rows);
  }

  /** It has to be asked. */
  get is(): boolean {
    return this.#is;
  }

  /** Whether it is on its way, or was when the process before ended. */
  isInFlight(sourceSeq: number): boolean {
    return this.#inFlight.has(sourceSeq) || sourceSeq < this.#doubtfulBelow;
  }

  /** Whether it can be there under its present id, by any accident (a power cut undoes deliveries). */
  mayBeStored(sourceSeq: number): boolean {
    return this.#inFlight.has(sourceSeq) || sourceSeq < this.#earlierBelow;
  }

  /** These are on their way from now on. What a process before had on its way has been sent again. */
  sending(batch: readonly BufferedRecord[]): void {
    this.#doubtfulBelow = 0;
    this.#fly(batch);
  }

  /** The other side answered. */
  landed(): void {
    this.#fly([]);
  }

  /** Nobody can say what became of these. */
  lost(batch: readonly BufferedRecord[]): void {
    this.#is = true;
    this.#fly(batch);
  }

  /** What was on its way may have arrived without our having taken note of it. */
  unsettled(): void {
    if (this.#inFlight.size > 0) this.#is = true;
  }

  /** What is there. Rejects when it cannot be asked. */
  async ask(): Promise<readonly StoredMark[]> {
    const { store, sender } = this.#options;
    return sender.lastStored === undefined || store.state.rows === 0 ? [] : sender.lastStored();
  }

  /** Takes out what turned out to be there; gives what is left of `batch`, to be sent again. */
  settle(marks: readonly StoredMark[], batch: readonly BufferedRecord[]): readonly BufferedRecord[] {
    const { store, sender, observe } = this.#options;
    const records = store.settleStored(marks);
    if (records > 0) observe({ kind: 'found-stored', records });
    this.#is = false;
    // Where nobody can be asked, what may have been sent stays until it goes again: that has to wait for the disk.
    if (sender.lastStored !== undefined) this.#doubtfulBelow = 0;
    this.#earlierBelow = 0;
    const left = batch.filter(({ sourceSeq }) => store.isPending(sourceSeq));
    this.#fly(left);
    return left;
  }

  #fly(batch: readonly BufferedRecord[]): void {
    this.#inFlight = new Set(batch.map(({ sourceSeq }) => sourceSeq));
  }
}
