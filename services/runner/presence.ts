// Says now and then that this runner is alive, and takes an answer as a sign that the broker is back. Losing a word is harmless.
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { BufferHooks } from '#libs/telemetry/hooks.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import type { RunsClient } from './runs-client.ts';

export interface PresenceOptions {
  readonly clock: Clock;
  readonly runs: RunsClient;
  readonly outbox: Pick<Outbox, 'status' | 'nudge'>;
  readonly hooks: BufferHooks;
  readonly everyMs: number;
  readonly facts: Omit<RunRequestOf<'announce'>, 'buffered' | 'active' | 'machine' | 'ttlMs'>;
  /** Turns in hand. */
  readonly active: () => number;
  /** Calls back whenever a turn begins. */
  readonly whenBegun: (listener: () => void) => void;
  /** Told when a word came too late: until then this runner counted as gone. */
  readonly onLate: () => void;
  /** Looks at the machine; undefined: it cannot. */
  readonly machine: () => RunRequestOf<'announce'>['machine'];
}

/** A runner counts as gone after this many words were missed. */
const MISSED = 3;

/** While it works it speaks so often, and may be silent so long: what it has in hand is to begin elsewhere within 3 s. */
const BUSY_EVERY_MS = 700;
const BUSY_TTL_MS = 2000;

/** Waits that work which begins can end: a wait of an idle runner must not be part of how long its silence goes unnoticed. */
const createIdleWait = ({ clock, whenBegun }: Pick<PresenceOptions, 'clock' | 'whenBegun'>) => {
  let waiting: AbortController | undefined;
  whenBegun(() => waiting?.abort());
  return async (waitMs: number, signal: AbortSignal): Promise<void> => {
    waiting = new AbortController();
    await clock.sleep(waitMs, AbortSignal.any([waiting.signal, signal]));
    waiting = undefined;
  };
};

/** One word. True when it was taken. */
const announce = async (
  { runs, outbox, hooks, facts, active, machine }: PresenceOptions,
  ttlMs: number,
): Promise<boolean> => {
  const { pending, pendingBytes, unreachableFailures } = outbox.status();
  hooks.depth(facts.runnerId, pending, pendingBytes);
  const seen = machine();
  const answer = await runs.ask('announce', {
    ...facts,
    buffered: pending,
    active: active(),
    ...(seen !== undefined && { machine: seen }),
    ttlMs,
  });
  if (answer.kind === 'ok' && unreachableFailures > 0) outbox.nudge();
  return answer.kind === 'ok';
};

/**
 * Until the signal aborts. A word that is answered later than the one before it allowed comes from a runner that was taken for gone: `onLate`
 * is told, for what it had in hand may be others' by now.
 */
export const announcePresence = async (options: PresenceOptions, signal: AbortSignal): Promise<void> => {
  const { clock, everyMs, active, onLate } = options;
  const waitIdle = createIdleWait(options);
  let dueMs = clock.monotonicMs();
  let overMs = Number.POSITIVE_INFINITY;
  while (!signal.aborted) {
    const isBusy = active() > 0;
    if (isBusy || clock.monotonicMs() >= dueMs) {
      const ttlMs = isBusy ? BUSY_TTL_MS : everyMs * MISSED;
      const saidMs = clock.monotonicMs();
      const isHeard = await announce(options, ttlMs);
      if (isHeard && saidMs > overMs) onLate();
      if (isHeard) overMs = saidMs + ttlMs;
      // What ends being busy is told at once: its time was short.
      dueMs = clock.monotonicMs() + (isBusy ? 0 : everyMs);
    }
    // It may have become busy while its idle word was on its way.
    if (!isBusy && active() > 0) continue;
    if (isBusy) await clock.sleep(BUSY_EVERY_MS, signal);
    else await waitIdle(Math.max(1, dueMs - clock.monotonicMs()), signal);
  }
};
