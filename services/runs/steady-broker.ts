// Whether the broker has answered this process without a pause lately: asks it for a key now and then, and notices when the answer, or this
// process itself, was late. Who was silent while the broker was away, or while this machine stood still, need not be dead.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';

export interface SteadyBroker {
  /** Asks until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** True when it has been steady for that long; false after a wait of that long, in which everybody had time to speak. */
  wasSteady(): Promise<boolean>;
}

const EVERY_MS = 500;
/** A later answer, or a later question, is a pause. */
const LATE_MS = 500;

/** `forMs`: how long it has to have been so. `isNeeded`: whether anybody's silence would mean anything. Any bucket will do. */
export const createSteadyBroker = (
  kv: KeyValue,
  clock: Clock,
  { forMs, isNeeded }: { readonly forMs: number; readonly isNeeded: () => boolean },
): SteadyBroker => {
  let sinceMs = Number.POSITIVE_INFINITY;
  return {
    run: async (signal) => {
      sinceMs = clock.monotonicMs();
      while (!signal.aborted) {
        // Nobody's silence means anything now.
        if (!isNeeded()) {
          await clock.sleep(EVERY_MS, signal);
          sinceMs = clock.monotonicMs();
          continue;
        }
        const askedMs = clock.monotonicMs();
        const isAnswered = await kv.get('steady').then(
          () => true,
          () => false,
        );
        await clock.sleep(EVERY_MS, signal);
        const nowMs = clock.monotonicMs();
        if (!isAnswered || nowMs - askedMs > EVERY_MS + LATE_MS) sinceMs = nowMs;
      }
    },
    wasSteady: async () => {
      if (clock.monotonicMs() - sinceMs >= forMs) return true;
      await clock.sleep(forMs);
      return false;
    },
  };
};
