// High-rate publishing as a port, for entries that carry no expectation. Real: libs/nats/publisher.ts.
import type { NewEntry } from './event-log.ts';

/** `stored` at `seq` (`duplicate`: it was there already), or `failed`: the fault code and whether the broker refused it or was unreachable. */
export type PublishOutcome =
  | { readonly kind: 'stored'; readonly seq: number; readonly duplicate: boolean }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string };

/**
 * Sends entries without waiting for each acknowledgement, at most a window of them in flight, and in the order of the calls.
 * Entries of different subjects may be acknowledged in any order; on a cluster a change of leader may store entries of the
 * window out of order (where order matters, use atomic batches: EventLog.appendTogether).
 */
export interface Publisher {
  /**
   * Sends one entry. The outer promise resolves when there is room in the window (await it: this is the backpressure),
   * the inner one with the outcome. Never rejects.
   */
  publish(entry: Omit<NewEntry, 'expectedSeq'>): Promise<{ readonly outcome: Promise<PublishOutcome> }>;
  /** Sends one entry if there is room now; `onOutcome` is called once. Returns false (nothing sent) when the window is full. */
  tryPublish(entry: Omit<NewEntry, 'expectedSeq'>, onOutcome: (outcome: PublishOutcome) => void): boolean;
  /** Resolves when there is room for at least one entry. */
  room(): Promise<void>;
  /** Resolves when nothing is in flight. */
  drained(): Promise<void>;
  /** No more is sent; what is in flight ends with its outcome, or as `unreachable` if none comes. A publish afterwards is `unreachable`. */
  close(): Promise<void>;
}
