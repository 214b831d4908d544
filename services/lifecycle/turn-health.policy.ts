// Whether a turn goes on, from what is on record about it. Pure. What waits for a person is not silent, whatever it does not say.
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { StuckEvidence } from '#streams/policy.ts';

/** A call that was made so often in a row, with the same input each time. */
export interface SameCalls {
  readonly tool: string;
  readonly count: number;
  /** When the first of them was stored, epoch ms. */
  readonly sinceAt: number;
}

/** What is known of a turn that has begun, is not over, and whose claim lives. */
export interface OpenTurn {
  readonly runId: string;
  readonly turnId: string;
  readonly startedAt: number;
  /** When the program was heard of last, epoch ms. */
  readonly lastAt: number;
  /** What it is asking a person; null: nothing. */
  readonly asks: { readonly tool: string; readonly askedAt: number } | null;
  /** Null: it was not looked at, or it called nothing. */
  readonly calls: SameCalls | null;
}

type Health = PolicyConfig['health'];

const silentMs = ({ stuckAfterSeconds }: Health): number => stuckAfterSeconds * 1000;

/** What shows that a turn does not go on; null: nothing does. */
export const stuckTurn = (turn: OpenTurn, health: Health, now: number): StuckEvidence | null => {
  const { runId, turnId, lastAt, asks, calls } = turn;
  const about = { runId, turnId };
  const limitMs = silentMs(health);
  if (asks !== null) {
    const isLong = limitMs > 0 && now - asks.askedAt >= limitMs;
    const detail = `turn ${turnId} waits for an answer about ${asks.tool.slice(0, 100)}`;
    return isLong ? { ...about, kind: 'waiting', sinceAt: asks.askedAt, detail } : null;
  }
  if (health.sameCalls > 0 && calls !== null && calls.count >= health.sameCalls) {
    const detail = `turn ${turnId} called ${calls.tool.slice(0, 100)} with the same input ${calls.count} times in a row`;
    return { ...about, kind: 'looping', sinceAt: calls.sinceAt, detail };
  }
  const quietMs = now - lastAt;
  if (limitMs === 0 || quietMs < limitMs) return null;
  const detail = `nothing was heard of turn ${turnId} for ${Math.round(quietMs / 1000)} s`;
  return { ...about, kind: 'silent', sinceAt: lastAt, detail };
};

/** When a turn will have been silent, or have waited, for too long; undefined: that is not looked at. */
export const silentAtOf = ({ lastAt, asks }: OpenTurn, health: Health): number | undefined =>
  health.stuckAfterSeconds === 0 ? undefined : (asks?.askedAt ?? lastAt) + silentMs(health);
