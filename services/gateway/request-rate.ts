// How often one identity may ask: a bucket of requests that fills again at an even rate. Holds one small record for each identity.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';

export interface RequestRate {
  /** Counts one request. Throws `REQUESTS_TOO_MANY` (later) with `retryAfterSeconds`; nothing is counted then. */
  take(name: string): void;
}

interface Level {
  left: number;
  atMs: number;
}

/** `perSecond` requests a second for ever, `burst` at once. */
export const createRequestRate = (
  { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
  clock: Clock,
): RequestRate => {
  const levels = new Map<string, Level>();
  return {
    take: (name) => {
      const nowMs = clock.monotonicMs();
      const level = levels.get(name) ?? { left: burst, atMs: nowMs };
      levels.set(name, level);
      level.left = Math.min(burst, level.left + ((nowMs - level.atMs) * perSecond) / 1000);
      level.atMs = nowMs;
      if (level.left < 1) {
        const retryAfterSeconds = Math.max(1, Math.ceil((1 - level.left) / perSecond));
        throw new Fault({
          code: 'REQUESTS_TOO_MANY',
          retry: 'later',
          message: `${name} may ask ${perSecond} times a second (${burst} at once); ask again in ${retryAfterSeconds} s`,
          detail: { retryAfterSeconds },
        });
      }
      level.left -= 1;
    },
  };
};
