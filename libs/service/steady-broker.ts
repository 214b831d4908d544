// Whether the broker has answered this process without a pause lately: asks it for a key now and then, and notices when the answer, or this
// process itself, was late. Who was silent while the broker was away, or while this machine stood still, need not be dead. Asks only while
// somebody's silence would mean something, and from the moment that it does.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';

export interface SteadyBroker {
  /** Asks until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Somebody's silence means something from now on: the asking begins at once. */
  isNeededNow(): void;
  /** True when it has been steady since then (by this clock's monotonic ms); false after a wait in which everybody had time to speak. */
  wasSteady(sinceMs: number): Promise<boolean>;
}

/** Between two questions; an answer, or a question, that is so much later is a pause. */
const EVERY_MS = 500;
/**
 * What is believed of the time before the first question: whatever makes a silence matter has just come through the broker, and a pause that short would not
 * have been noticed between two questions either. A busy runner, which speaks every 700 ms and may be silent for 2 s, has at least one word in the rest.
 */
const BELIEVED_MS = 500;

/** `forMs`: the time to speak. `isNeeded`: whether anybody's silence would mean anything. `everyMs`: between two questions. Any bucket will do. */
export const createSteadyBroker = (
  kv: KeyValue,
  clock: Clock,
  {
    forMs,
    isNeeded,
    everyMs = EVERY_MS,
  }: { readonly forMs: number; readonly isNeeded: () => boolean; readonly everyMs?: number },
): SteadyBroker => {
  const never = Number.POSITIVE_INFINITY;
  let steadyFromMs = never;
  let askedMs = never;
  let wake = Promise.withResolvers<void>();

  /** One question and the pause after it. */
  const ask = async (signal: AbortSignal): Promise<void> => {
    askedMs = clock.monotonicMs();
    if (steadyFromMs === never) steadyFromMs = askedMs - BELIEVED_MS;
    const isAnswered = await kv.get('steady').then(
      () => true,
      () => false,
    );
    await clock.sleep(everyMs, signal);
    const nowMs = clock.monotonicMs();
    if (!isAnswered || nowMs - askedMs > 2 * everyMs) steadyFromMs = nowMs;
  };

  return {
    run: async (signal) => {
      const stop = (): void => wake.resolve();
      signal.addEventListener('abort', stop, { once: true });
      while (!signal.aborted) {
        if (isNeeded()) {
          await ask(signal);
          continue;
        }
        steadyFromMs = never;
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
      signal.removeEventListener('abort', stop);
    },
    isNeededNow: () => wake.resolve(),
    wasSteady: async (sinceMs) => {
      // What was asked long ago has no answer yet: this is a pause, too.
      const isWaiting = clock.monotonicMs() - askedMs > 2 * everyMs;
      if (steadyFromMs <= sinceMs && !isWaiting) return true;
      await clock.sleep(forMs);
      return false;
    },
  };
};
