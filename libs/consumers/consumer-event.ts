// What a consumer tells whoever watches it (metrics, logs). Facts only; nothing depends on them being heard.
import type { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Handled, ParkReason } from './disposition.ts';

export type ConsumerEvent =
  /** Entries came; `pending` are those not yet handed out. */
  | { readonly kind: 'received'; readonly count: number; readonly pending: number }
  /** Not for this consumer: acknowledged unread. */
  | { readonly kind: 'skipped'; readonly entry: StoredEntry }
  | {
      readonly kind: 'handled';
      readonly entry: StoredEntry;
      readonly result: Handled;
      readonly durationMs: number;
      readonly runs: number;
    }
  /** Its lane waits `waitMs`; `counts` tells whether the failure counts against the entry. */
  | {
      readonly kind: 'retrying';
      readonly entry: StoredEntry;
      readonly fault: Fault;
      readonly waitMs: number;
      readonly counts: boolean;
    }
  | {
      readonly kind: 'parked';
      readonly entry: StoredEntry;
      readonly reason: ParkReason;
      readonly fault: Fault;
      readonly letterSeq: number;
    }
  /** The dead letter could not be stored; the entry stays in hand and is parked later. */
  | { readonly kind: 'park-failed'; readonly entry: StoredEntry; readonly fault: Fault }
  /** Back to the queue undone: by `stop()`, or because its lane holds as many as it may. */
  | { readonly kind: 'given-back'; readonly entry: StoredEntry }
  /** The queue failed; the consumer asks again after `waitMs`. */
  | { readonly kind: 'interrupted'; readonly fault: Fault; readonly waitMs: number }
  /** The consumer has ended and acknowledges nothing more. */
  | { readonly kind: 'fatal'; readonly error: unknown };
