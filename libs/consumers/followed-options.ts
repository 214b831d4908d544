// What a queue over a followed log is made of (see followed-queue.ts). Runs nothing.
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';

export interface FollowedLimits {
  /** How long what was done may be unsaved, and how often an owner with work in hand says that it lives; default 1,000 ms. */
  readonly saveMs: number;
  /** Who stands by takes over when there is work and the place has not been written for so long; up to half of it again by chance. Default 2,500 ms. */
  readonly takeOverAfterMs: number;
  /** Most entries handed out and not ended; default 1,000. */
  readonly maxOpen: number;
}

export const FOLLOWED_DEFAULTS: FollowedLimits = { saveMs: 1000, takeOverAfterMs: 2500, maxOpen: 1000 };

export interface FollowedQueueOptions {
  /** Names the place; it never changes. */
  readonly name: string;
  readonly log: EventLog;
  readonly subjects: readonly string[];
  /** The bucket of places. */
  readonly places: KeyValue;
  /** Where the very first owner begins; default: with the first entry of the log. */
  readonly startsAt?: 'first' | 'new';
  readonly clock: Clock;
  readonly ids: Ids;
  readonly limits?: Partial<FollowedLimits>;
}

export type FollowedParts = Omit<FollowedQueueOptions, 'limits'> & { readonly limits: FollowedLimits };
