// The order of a queue as it changes (HR-14, HR-15): who was pushed back by an insertion and who moved forward, in one event for all of them.
// Derived from the index of waiting tasks, which is a fold of the log; stored nowhere. A reader that comes again is told the present
// order first, so there is nothing to resume. Changes that come close together are one event.
import type { Clock } from '#libs/ports/clock.ts';
import { placeChanges, type PlaceChange } from './order.policy.ts';

/** What an order has become. */
export interface OrderNews {
  readonly queue: string;
  /** Everything of TRANSITIONS up to here is in it. */
  readonly seq: number;
  readonly changes: readonly PlaceChange[];
}

export interface OrderFeedOptions {
  readonly queue: string;
  /** The first waiting tasks of the queue, in the order in which they go, and up to which entry that is so. */
  readonly read: () => { readonly order: readonly string[]; readonly seq: number };
  /** Calls back at every change of a task. Returns what ends it. */
  readonly subscribe: (onChange: () => void) => () => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Least time between two events: a busy queue changes hundreds of times a second, and nobody reads that. */
const PACE_MS = 100;

/** First the present order, with every `from` null, also when nobody waits; then its changes until the signal aborts. Throws what `read` throws. */
export async function* orderFeed({
  queue,
  read,
  subscribe,
  clock,
  signal,
}: OrderFeedOptions): AsyncGenerator<OrderNews> {
  let isChanged = true;
  let wake = (): void => undefined;
  const note = (): void => {
    isChanged = true;
    wake();
  };
  const unsubscribe = subscribe(note);
  signal.addEventListener('abort', note, { once: true });
  let known: readonly string[] | undefined;
  try {
    while (!signal.aborted) {
      isChanged = false;
      const { order, seq } = read();
      const changes = placeChanges(known ?? [], order);
      if (known === undefined || changes.length > 0) yield { queue, seq, changes };
      known = order;
      await clock.sleep(PACE_MS, signal);
      // Set by what has come while the event was on its way, too.
      if (!isChanged) await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', note);
  }
}
