// What has arrived from the log and is not folded yet: entries are decoded as they come (while the last batch is being
// written) and wait here in stream order. Bounded: the source is not asked while `capacity` entries wait.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Reading } from './fold.ts';

export interface IntakeOptions<Event> {
  readonly source: AsyncIterable<readonly StoredEntry[]>;
  readonly read: (entry: StoredEntry) => Reading<Event>;
  readonly capacity: number;
  /** Called for each entry as it arrives. */
  readonly onArrival: (reading: Reading<Event>) => void;
}

export class Intake<Event> {
  readonly #options: IntakeOptions<Event>;
  #waiting: Reading<Event>[] = [];
  #failure: { readonly error: unknown } | undefined;
  #isEnded = false;
  #wakeTaker: (() => void) | undefined;
  /** So many wake the taker. */
  #wakeFrom = 1;
  #wakeSource: (() => void) | undefined;
  /** Resolves when the source has ended; never rejects. */
  readonly ended: Promise<void>;

  constructor(options: IntakeOptions<Event>) {
    this.#options = options;
    this.ended = this.#pump();
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Resolves when so many wait (at most the capacity), the source has ended, or {@link nudge} is called. */
  async arrival(count = 1): Promise<void> {
    if (this.#waiting.length >= count || this.#isEnded) return;
    await new Promise<void>((resolve) => {
      this.#wakeTaker = resolve;
      this.#wakeFrom = count;
    });
  }

  /** Ends a waiting {@link arrival}. */
  nudge(): void {
    const wake = this.#wakeTaker;
    this.#wakeTaker = undefined;
    wake?.();
  }

  /** The oldest entries, at most `max`. Throws what the source threw, once everything before it is taken. */
  take(max: number): Reading<Event>[] {
    if (this.#waiting.length === 0 && this.#failure !== undefined) throw this.#failure.error;
    const taken = this.#waiting.length <= max ? this.#waiting : this.#waiting.slice(0, max);
    this.#waiting = this.#waiting.length <= max ? [] : this.#waiting.slice(max);
    this.#wakeSource?.();
    return taken;
  }

  /** True when nothing more will come. */
  get isOver(): boolean {
    return this.#isEnded && this.#waiting.length === 0 && this.#failure === undefined;
  }

  /** Lets the source end: it must have been told by its signal. */
  close(): void {
    this.#waiting = [];
    this.#wakeSource?.();
  }

  async #pump(): Promise<void> {
    try {
      for await (const entries of this.#options.source) {
        const room = this.#takeIn(entries);
        if (room !== undefined) await room;
      }
    } catch (error) {
      this.#failure = { error };
    }
    this.#isEnded = true;
    this.#wakeTaker?.();
  }

  /** Only a full house costs a wait. */
  #takeIn(entries: readonly StoredEntry[], from = 0): Promise<void> | undefined {
    const { read, capacity, onArrival } = this.#options;
    for (let at = from; at < entries.length; at += 1) {
      const reading = read(entries[at] as StoredEntry);
      this.#waiting.push(reading);
      onArrival(reading);
      if (this.#wakeTaker !== undefined && this.#waiting.length >= this.#wakeFrom) this.nudge();
      if (this.#waiting.length >= capacity)
        return this.#untilRoom(capacity).then(() => this.#takeIn(entries, at + 1));
    }
    return undefined;
  }

  async #untilRoom(capacity: number): Promise<void> {
    while (this.#waiting.length >= capacity)
      await new Promise<void>((resolve) => {
        this.#wakeSource = resolve;
      });
  }
}
