// Standing by for the place of a reactor (take-over.ts).
import type { FollowedParts } from './followed-options.ts';
import { NOBODY } from './owned-value.ts';
import { decodePlace } from './place.ts';
import { hasEntryBehind, untilTakeOver } from './take-over.ts';

/** Resolves when it is time to claim the place, or when the signal aborts. */
export const standByForPlace = (
  { places, name, log, subjects, limits, clock, ids }: FollowedParts,
  signal: AbortSignal,
): Promise<void> =>
  untilTakeOver({
    kv: places,
    key: name,
    decode: (entry) => decodePlace(entry).place,
    isFree: (place) => place?.owner === NOBODY,
    hasWork: async (place, until) =>
      (place?.open.length ?? 0) > 0 || hasEntryBehind(log, { seq: place?.seq ?? 0, subjects }, until),
    afterMs: limits.takeOverAfterMs,
    clock,
    ids,
    signal,
  });
