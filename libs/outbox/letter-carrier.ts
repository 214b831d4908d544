// Hands parked records to the dead letters one at a time; while these are away it waits longer and longer, and holds nothing up.
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { unreachableWaitMs } from './backoff.policy.ts';
import type { OutboxEvent, ParkedRecord } from './outbox.ts';
import type { Store } from './store.ts';

export interface LetterCarrierOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: () => number;
  readonly observe: (event: OutboxEvent) => void;
  readonly storeLetter: (parked: ParkedRecord) => Promise<void>;
  /** The store is closed: nothing may be written any more. */
  readonly isAbandoned: () => boolean;
}

export class LetterCarrier {
  readonly #options: LetterCarrierOptions;
  #failures = 0;
  #dueMs = 0;

  constructor(options: LetterCarrierOptions) {
    this.#options = options;
  }

  /** The dead letters may be back. */
  nudge(): void {
    this.#dueMs = 0;
  }

  /** When it wants to be called again (monotonic ms); undefined: there is nothing to hand over. */
  dueMs(): number | undefined {
    const { store } = this.#options;
    if (store.state.parked === 0 || store.parking.letterless() === undefined) return undefined;
    return this.#dueMs;
  }

  /** Hands over the oldest, if it is time. */
  async send(): Promise<void> {
    const { store, clock, random, storeLetter, observe, isAbandoned } = this.#options;
    if (store.state.parked === 0 || clock.monotonicMs() < this.#dueMs) return;
    const parked = store.parking.letterless();
    if (parked === undefined) return;
    const { sourceSeq } = parked.record;
    try {
      await storeLetter(parked);
      if (!isAbandoned()) store.parking.letterStored(sourceSeq);
      this.#failures = 0;
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      this.#failures += 1;
      this.#dueMs = clock.monotonicMs() + unreachableWaitMs(this.#failures, random());
      observe({ kind: 'letter-failed', sourceSeq, message: toFault(error).message });
    }
  }
}
