// Standing by for a projection's bucket (take-over.ts): it is handed back by an owner that stopped, or a rebuild, and the position is a fence.
import { hasEntryBehind, untilTakeOver } from '#libs/consumers/take-over.ts';
import type { ProjectionParts } from './parts.ts';
import { NOBODY } from '#libs/consumers/owned-value.ts';
import { decodePosition, type Position, POSITION_KEY } from './position.ts';

/** Resolves when it is time to claim the bucket, or when the projection stops. */
export const standByForBucket = <Event, State extends object>({
  kv,
  log,
  projection,
  limits,
  clock,
  ids,
  signal,
  observe,
}: ProjectionParts<Event, State>): Promise<void> =>
  untilTakeOver<Position>({
    kv,
    key: POSITION_KEY,
    decode: (entry) => decodePosition(entry).position,
    isFree: (position) => position?.owner === NOBODY && position.version <= projection.version,
    hasWork: async (position) => {
      const rebuild = position?.rebuild;
      // A rebuild that ended without letting go has left the bucket half switched: that is work, too.
      if (rebuild !== undefined) return rebuild.untilMs <= clock.now();
      // A newer version owns the bucket: this instance has nothing to offer.
      if ((position?.version ?? 0) > projection.version) return false;
      return hasEntryBehind(log, { seq: position?.seq ?? 0, subjects: projection.subjects }, signal);
    },
    afterMs: limits.takeOverAfterMs,
    clock,
    ids,
    signal,
    onInterrupted: (fault, waitMs) => observe({ kind: 'interrupted', fault, waitMs }),
  });
