// A durable consumer as a port: entries handed out for processing, each acknowledged, retried or parked.
// Real: libs/nats/work-queue.ts. In memory: libs/memory/work-queue.ts. One contract suite serves both.
import type { StoredEntry } from './event-log.ts';

/** One entry handed out. Exactly one of `ack`, `retry`, `terminate` ends it; without one it comes again after the consumer's ack wait. */
export interface Delivery {
  readonly entry: StoredEntry;
  /** 1 at the first delivery. Not trustworthy after a crash of the broker (an acknowledged entry may come again as 1). */
  readonly attempt: number;
  /** Entries of the consumer not yet handed out when this one was. */
  readonly pending: number;
  /** Done. Fire and forget: a lost acknowledgement means one more delivery. */
  ack(): void;
  /** Hand it out again after `delayMs`. Entries behind it pass unless the consumer allows one at a time. */
  retry(delayMs: number): void;
  /** Never again (it has been parked, or is beyond help). */
  terminate(reason: string): void;
  /** Restart the ack wait: still working. */
  extend(): void;
}

export interface TakeOptions {
  /** Most entries in hand at once. */
  readonly max: number;
  /** Lower wins while it has a request open (prioritized consumers only); default 0. */
  readonly priority?: number;
  readonly signal: AbortSignal;
}

/** Faults: `QUEUE_UNAVAILABLE` (later), `QUEUE_MISSING` (never: consumer not provisioned), `QUEUE_REFUSED` (never: the broker says no). */
export interface WorkQueue {
  readonly stream: string;
  readonly consumer: string;
  /**
   * Batches as they come: 1 to `max` entries each, in stream order; a new batch is fetched while the last is being worked on.
   * Survives broker restarts. Ends when `signal` aborts; what was fetched and not yielded is given back at once.
   */
  batches(options: TakeOptions): AsyncIterable<readonly Delivery[]>;
  /** Entries not yet handed out plus those handed out and not acknowledged. */
  backlog(): Promise<{ readonly pending: number; readonly unacknowledged: number }>;
}
