// A work queue over a log that this process follows anyway: what a durable consumer of the broker would deliver, and have acknowledged
// entry by entry, is taken from the one reading that projections and reactors of the process share; how far it has come is a place in a
// bucket, written now and then. So an entry costs no delivery and no acknowledgement of its own.
// Guarantees those of the port: at least once, in stream order, retries pass nobody's lane. One instance works, the others stand by; which
// one is a preference and not a lock, and after a crash up to `saveMs` of work comes again: handlers have derived ids.
// After a crash the next owner begins at once with what was in hand, where a durable consumer would wait for its ack wait.
// Memory: two batches, and `maxOpen` entries.
//
// claiming → holding → (fenced) standing by → claiming …   until the signal aborts; a fault of the log ends the batches, and the next call
// of `batches` goes on where this one stopped.
import { invariant } from '#libs/kernel/invariant.ts';
import type { Delivery, TakeOptions, WorkQueue } from '#libs/ports/work-queue.ts';
import { FOLLOWED_DEFAULTS, type FollowedParts, type FollowedQueueOptions } from './followed-options.ts';
import { Holding } from './followed-holding.ts';
import { claimPlace } from './place-keeper.ts';
import { standByForPlace } from './place-standby.ts';
import { readPlace } from './place.ts';

class FollowedQueue implements WorkQueue {
  readonly stream: string;
  readonly consumer: string;
  readonly #parts: FollowedParts;
  #holding: Holding | undefined;

  constructor(options: FollowedQueueOptions) {
    this.#parts = { ...options, limits: { ...FOLLOWED_DEFAULTS, ...options.limits } };
    this.stream = options.log.stream;
    this.consumer = options.name;
  }

  async *batches({ max, signal }: TakeOptions): AsyncGenerator<readonly Delivery[]> {
    invariant(Number.isSafeInteger(max) && max > 0, 'a taker takes at least one entry');
    while (!signal.aborted) {
      this.#holding ??= await this.#claim();
      const holding = this.#holding;
      if (holding === undefined) {
        await standByForPlace(this.#parts, signal);
        continue;
      }
      try {
        yield* holding.batches(max, signal);
      } finally {
        if (signal.aborted || holding.keeper.isLost) this.#holding = undefined;
        if (signal.aborted) await holding.leave();
      }
      if (holding.keeper.isLost) await standByForPlace(this.#parts, signal);
    }
  }

  async backlog(): Promise<{ readonly pending: number; readonly unacknowledged: number }> {
    const { log, subjects, places, name } = this.#parts;
    const { place } = await readPlace(places, name);
    let pending = 0;
    for await (const _ of log.replay({ from: { seq: (place?.seq ?? 0) + 1 }, subjects })) pending += 1;
    return { pending, unacknowledged: place?.open.length ?? 0 };
  }

  async #claim(): Promise<Holding | undefined> {
    const claimed = await claimPlace(this.#parts, this.#parts.ids.ulid());
    return claimed && new Holding(this.#parts, claimed);
  }
}

/** Opens a queue; nothing is read before the first call. Faults: those of the log and of the bucket of places. */
export const createFollowedQueue = (options: FollowedQueueOptions): WorkQueue => new FollowedQueue(options);
