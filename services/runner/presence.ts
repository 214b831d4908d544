// Says now and then that this runner is alive, and takes an answer as a sign that the broker is back. Losing a word is harmless.
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { BufferHooks } from '#libs/telemetry/hooks.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import type { RunsClient } from './runs-client.ts';

export interface PresenceOptions {
  readonly clock: Clock;
  readonly runs: RunsClient;
  readonly outbox: Outbox;
  readonly hooks: BufferHooks;
  readonly everyMs: number;
  readonly facts: Omit<RunRequestOf<'announce'>, 'buffered' | 'active' | 'machine' | 'ttlMs'>;
  /** Turns in hand. */
  readonly active: () => number;
  /** Looks at the machine; undefined: it cannot. */
  readonly machine: () => RunRequestOf<'announce'>['machine'];
}

/** A runner counts as gone after this many words were missed. */
const MISSED = 3;

/** While it works it speaks so often, and may be silent so long: what it has in hand is to begin elsewhere within 3 s. */
const BUSY_EVERY_MS = 700;
const BUSY_TTL_MS = 2000;

/** Until the signal aborts. */
export const announcePresence = async (options: PresenceOptions, signal: AbortSignal): Promise<void> => {
  const { clock, runs, outbox, hooks, everyMs, facts, active, machine } = options;
  let dueMs = clock.monotonicMs();
  while (!signal.aborted) {
    const isBusy = active() > 0;
    if (isBusy || clock.monotonicMs() >= dueMs) {
      const { pending, pendingBytes, unreachableFailures } = outbox.status();
      hooks.depth(facts.runnerId, pending, pendingBytes);
      const seen = machine();
      const answer = await runs.ask('announce', {
        ...facts,
        buffered: pending,
        active: active(),
        ...(seen !== undefined && { machine: seen }),
        ttlMs: isBusy ? BUSY_TTL_MS : everyMs * MISSED,
      });
      if (answer.kind === 'ok' && unreachableFailures > 0) outbox.nudge();
      // What ends being busy is told at once: its time was short.
      dueMs = clock.monotonicMs() + (isBusy ? 0 : everyMs);
    }
    // Idle or not, it looks so often whether it has become busy.
    const waitMs = isBusy ? BUSY_EVERY_MS : Math.min(BUSY_EVERY_MS, dueMs - clock.monotonicMs());
    await clock.sleep(Math.max(1, waitMs), signal);
  }
};
