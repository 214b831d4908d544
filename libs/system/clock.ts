// The real clock: the only file of the product that reads time or sets timers.
import type { Clock } from '#libs/ports/clock.ts';

/** Wall and monotonic time of this machine. Stateless; shared by the whole process. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  idleMs: () => performance.eventLoopUtilization().idle,
  timer: (delayMs, callback, options) => {
    // setTimeout treats delays beyond 2^31-1 as 1 ms; such a timer is cut instead and its owner decides again when it rings.
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), 2_147_483_647));
    if (options?.keepAlive !== true) handle.unref();
    return () => clearTimeout(handle);
  },
  sleep: (delayMs, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        clearTimeout(handle);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const handle = setTimeout(done, Math.max(0, delayMs));
      signal?.addEventListener('abort', done, { once: true });
    }),
};

/** Epoch ms of an ISO time; without a zone it is this machine's. NaN when the text is no time. */
export const parseTime = (text: string): number => Date.parse(text);
