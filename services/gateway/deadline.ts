// An answer in time: whoever asks over HTTP waits for seconds, and what stores things may try for longer than that.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';

/** What `work` comes to, or `KV_UNAVAILABLE` (later) after `withinMs`. The work itself goes on: it must be one that may be done late, or again. */
export const inTime = async <Result>(
  work: Promise<Result>,
  { clock, withinMs, what }: { readonly clock: Clock; readonly withinMs: number; readonly what: string },
): Promise<Result> => {
  const late = Promise.withResolvers<never>();
  const cancel = clock.timer(withinMs, () =>
    late.reject(
      new Fault({
        code: 'KV_UNAVAILABLE',
        retry: 'later',
        message: `${what} took more than ${withinMs} ms; ask again under the same idempotency key`,
      }),
    ),
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    cancel();
    // Nobody hears of what comes after the deadline.
    work.catch(() => undefined);
  }
};
