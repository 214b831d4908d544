// One claimed place at work (see followed-queue.ts): what has arrived from the log, what is in hand, and what is to come again.
// Knows nothing of who else wants the place; its keeper writes it and hears when it is another's.
import type { CancelTimer } from '#libs/ports/clock.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Delivery } from '#libs/ports/work-queue.ts';
import type { FollowedParts } from './followed-options.ts';
import { type Claimed, PlaceKeeper } from './place-keeper.ts';

class Followed implements Delivery {
  readonly entry: StoredEntry;
  readonly attempt: number;
  readonly pending: number;
  readonly #holding: Holding;
  #isEnded = false;

  constructor(holding: Holding, entry: StoredEntry, facts: Pick<Delivery, 'attempt' | 'pending'>) {
    this.#holding = holding;
    this.entry = entry;
    this.attempt = facts.attempt;
    this.pending = facts.pending;
  }

  ack(): void {
    if (this.#end()) this.#holding.done(this.entry.seq);
  }

  retry(delayMs: number): void {
    if (this.#end()) this.#holding.again(this.entry, { attempt: this.attempt + 1, delayMs });
  }

  terminate(): void {
    this.ack();
  }

  /** Nothing to do: what is open stays with its owner. */
  extend(): void {}

  #end(): boolean {
    if (this.#isEnded) return false;
    this.#isEnded = true;
    return true;
  }
}

interface Arrived {
  readonly entry: StoredEntry;
  /** Absent: not handed out by this owner yet. */
  readonly attempt?: number;
}

/** A claimed place at work: what has arrived, what is in hand, what is to come again. */
export class Holding {
  readonly keeper: PlaceKeeper;
  readonly #parts: FollowedParts;
  readonly #inHand = new Set<number>();
  readonly #timers = new Map<number, CancelTimer>();
  #arrived: Arrived[] = [];
  #failure: { readonly error: unknown } | undefined;
  #isLeaving = false;
  #wakeTaker: (() => void) | undefined;
  #wakeSource: (() => void) | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(parts: FollowedParts, claimed: Claimed) {
    this.#parts = parts;
    this.keeper = new PlaceKeeper(parts, claimed, (failure) => {
      this.#failure = failure;
      this.#wake();
    });
  }

  /** Hands out until the place is lost or the signal aborts. Throws the log's faults. */
  async *batches(max: number, signal: AbortSignal): AsyncGenerator<readonly Delivery[]> {
    const source = new AbortController();
    const end = (): void => {
      source.abort();
      this.#wake();
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    const pump = this.#pump(source.signal, 2 * max);
    try {
      while (!signal.aborted && !this.keeper.isLost) {
        if (this.#arrived.length > 0) yield this.#take(max);
        else if (this.#failure === undefined)
          await new Promise<void>((resolve) => (this.#wakeTaker = resolve));
        else break;
      }
      if (this.#failure !== undefined) throw this.#failure.error;
    } finally {
      signal.removeEventListener('abort', end);
      source.abort();
      this.#wakeSource?.();
      await pump;
      for (const cancel of this.#timers.values()) cancel();
      this.#timers.clear();
      this.#arrived = [];
      this.#failure = undefined;
    }
  }

  done(seq: number): void {
    this.#inHand.delete(seq);
    this.keeper.end(seq);
    this.#wakeSource?.();
    if (this.#inHand.size === 0) this.#whenEmpty?.();
  }

  again(
    entry: StoredEntry,
    { attempt, delayMs }: { readonly attempt: number; readonly delayMs: number },
  ): void {
    const { seq } = entry;
    this.#inHand.delete(seq);
    if (this.#inHand.size === 0) this.#whenEmpty?.();
    if (this.#isLeaving || this.keeper.isLost) return;
    const cancel = this.#parts.clock.timer(delayMs, () => {
      this.#timers.delete(seq);
      this.#arrived.push({ entry, attempt });
      this.#wakeTaker?.();
    });
    this.#timers.set(seq, cancel);
  }

  /** Waits for what is in hand and hands the place back. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    if (this.#inHand.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    await this.keeper.handBack();
  }

  #take(max: number): readonly Delivery[] {
    const taken = this.#arrived.splice(0, max).toSorted((a, b) => a.entry.seq - b.entry.seq);
    this.#wakeSource?.();
    const earlier = this.keeper.earlierDeliveries;
    const pending = this.#arrived.length;
    return taken.map(({ entry, attempt = 1 + earlier }) => {
      this.keeper.begin(entry.seq);
      this.#inHand.add(entry.seq);
      return new Followed(this, entry, { attempt, pending });
    });
  }

  async #pump(signal: AbortSignal, capacity: number): Promise<void> {
    const { log, subjects } = this.#parts;
    try {
      for (const seq of this.keeper.open()) {
        let isThere = false;
        for await (const entry of log.replay({ from: { seq }, toSeq: seq, subjects, signal })) {
          isThere = true;
          await this.#arrive(entry, signal, capacity);
        }
        if (!isThere && !signal.aborted) this.keeper.end(seq);
      }
      const from = { seq: this.keeper.seq + 1 };
      const bursts = log.replayTogether({ from, subjects, follow: true, isShared: true, signal });
      for await (const entries of bursts) {
        const room = this.#arriveTogether(entries, signal, capacity);
        if (room !== undefined) await room;
      }
    } catch (error) {
      this.#failure = { error };
      this.#wakeTaker?.();
    }
  }

  /** Only a full house costs a wait: what has come together is then taken together. */
  #arriveTogether(
    entries: readonly StoredEntry[],
    signal: AbortSignal,
    capacity: number,
  ): Promise<void> | undefined {
    for (const [at, entry] of entries.entries()) {
      const room = this.#arrive(entry, signal, capacity);
      if (room !== undefined)
        return room.then(() => this.#arriveTogether(entries.slice(at + 1), signal, capacity));
    }
    return undefined;
  }

  #arrive(entry: StoredEntry, signal: AbortSignal, capacity: number): Promise<void> | undefined {
    this.#arrived.push({ entry });
    this.#wakeTaker?.();
    return this.#isFull(capacity) ? this.#untilRoom(signal, capacity) : undefined;
  }

  async #untilRoom(signal: AbortSignal, capacity: number): Promise<void> {
    while (this.#isFull(capacity) && !signal.aborted)
      await new Promise<void>((resolve) => (this.#wakeSource = resolve));
  }

  #isFull(capacity: number): boolean {
    return this.#arrived.length >= capacity || this.keeper.openCount >= this.#parts.limits.maxOpen;
  }

  #wake(): void {
    this.#wakeTaker?.();
    this.#wakeSource?.();
  }
}
