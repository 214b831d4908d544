// What the files of a running projection share: its ports, its limits, whom it tells, and patience with a broker that is away.
import { type BackoffPolicy, backoffDelayMs } from '#libs/consumers/backoff.ts';
import { type Fault, toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Poison } from './fold.ts';
import type { Projection } from './projection.ts';

export interface ProjectionLimits {
  /** Most entries of one batch; default 512. */
  readonly maxBatch: number;
  /** Most states kept in memory; at least 4 × `maxBatch`. Default 20,000. */
  readonly hotKeys: number;
  /** A standby takes over when entries wait and the position has not moved for this long; default 2,000 ms. */
  readonly takeOverAfterMs: number;
  /** How often an idle projection looks whether the bucket is still as it left it; default 10,000 ms. */
  readonly idleCheckMs: number;
  /**
   * Least time between two batches while less than a full one waits, so that a bucket that nobody waits for costs few writes;
   * default 0: what has come is stored at once.
   */
  readonly paceMs: number;
  /**
   * The position is written at most so often: with the keys of the next batch, or by itself when nothing has come for so long. Readers that wait for
   * it, and not for a key, wait so much longer, and a crash folds so much again; default 0: after each batch.
   */
  readonly positionMs: number;
  /**
   * After a batch of {@link burstEntries} or more the next one gathers for so long, unless it is full before: in a rush the same keys change again
   * at once, and are then written once; default 100 ms. What is shown may be so much later, while there is a rush.
   */
  readonly gatherMs: number;
  /** Entries of one batch that are a rush; default 64. */
  readonly burstEntries: number;
  /** Waits while the broker is away; default 100 ms doubling to 5 s. */
  readonly backoff: BackoffPolicy;
}

export const PROJECTION_DEFAULTS: ProjectionLimits = {
  maxBatch: 512,
  hotKeys: 20_000,
  takeOverAfterMs: 2000,
  idleCheckMs: 10_000,
  paceMs: 0,
  positionMs: 0,
  gatherMs: 100,
  burstEntries: 64,
  backoff: { baseMs: 100, maxMs: 5000 },
};

/** Facts for metrics and logs. */
export type ProjectionEvent =
  | { readonly kind: 'active'; readonly fromSeq: number }
  /** `fenced`: another instance owns the bucket; `outdated`: it was folded by a newer version. */
  | { readonly kind: 'standby'; readonly reason: 'fenced' | 'outdated' | 'rebuilding' }
  /** The bucket was found behind what had been acknowledged (the broker lost its tail): folded again from its position. */
  | { readonly kind: 'lost-tail'; readonly seq: number }
  /** The bucket cannot be gone on from (`why`) and is folded anew beside it; `rebuilt`: it has been switched. */
  | { readonly kind: 'rebuilding'; readonly why: Fault }
  | { readonly kind: 'rebuilt'; readonly seq: number; readonly keys: number; readonly written: number }
  | {
      readonly kind: 'batch';
      readonly entries: number;
      readonly keys: number;
      readonly seq: number;
      readonly durationMs: number;
      /** From the storing of the batch's last entry to its keys being in the bucket; wall clocks of two machines. */
      readonly lagMs: number;
    }
  | { readonly kind: 'position'; readonly seq: number }
  | { readonly kind: 'poison'; readonly poison: Poison }
  /** An entry of a type that a newer version wrote was passed over, the first of its type in this life: that version folds the bucket anew. */
  | { readonly kind: 'newer'; readonly type: string; readonly entry: StoredEntry }
  /** A key's value was not one of this projection's; it is folded again from the log. */
  | { readonly kind: 'healed'; readonly key: string }
  | { readonly kind: 'interrupted'; readonly fault: Fault; readonly waitMs: number };

export interface ProjectionParts<Event, State extends object> {
  readonly projection: Projection<Event, State>;
  readonly log: EventLog;
  readonly kv: KeyValue;
  readonly clock: Clock;
  readonly ids: Ids;
  /** This instance, in the position key. */
  readonly owner: string;
  readonly limits: ProjectionLimits;
  readonly observe: (event: ProjectionEvent) => void;
  /** Stores the evidence; the position does not pass the entry before it has. */
  readonly onPoison: (poison: Poison) => Promise<void>;
  /** Aborts when the projection stops. */
  readonly signal: AbortSignal;
}

/** Does `work` until the broker is there: faults to be retried `later` are waited out without counting, until the projection stops. */
export const untilReachable = async <T>(
  parts: Pick<ProjectionParts<never, never>, 'clock' | 'ids' | 'limits' | 'observe' | 'signal'>,
  work: () => Promise<T>,
): Promise<T> => {
  for (let failures = 1; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      const fault = toFault(error);
      if (fault.code === 'UNEXPECTED_ERROR' || fault.retry === 'never' || parts.signal.aborted) throw error;
      const waitMs = backoffDelayMs(parts.limits.backoff, failures, parts.ids.random());
      parts.observe({ kind: 'interrupted', fault, waitMs });
      await parts.clock.sleep(waitMs, parts.signal);
    }
  }
};
