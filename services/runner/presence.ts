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

/** Until the signal aborts. */
export const announcePresence = async (options: PresenceOptions, signal: AbortSignal): Promise<void> => {
  const { clock, runs, outbox, hooks, everyMs, facts, active, machine } = options;
  while (!signal.aborted) {
    const { pending, pendingBytes, unreachableFailures } = outbox.status();
    hooks.depth(facts.runnerId, pending, pendingBytes);
    const seen = machine();
    const answer = await runs.ask('announce', {
      ...facts,
      buffered: pending,
      active: active(),
      ...(seen !== undefined && { machine: seen }),
      ttlMs: everyMs * MISSED,
    });
    if (answer.kind === 'ok' && unreachableFailures > 0) outbox.nudge();
    await clock.sleep(everyMs, signal);
  }
};
