// Storage is given up in two steps, so that a run that is just beginning is never overlooked. The wish is put on record; the summary, which
// follows the same log in its order, says which runs were under way at that very place; and that settles it, whatever has happened since, by
// whoever comes first. A run that was created before the wish keeps the storage, one that is created after it comes after the eviction. Who
// dies between the two leaves a wish on record, which the collector settles.
import { handleOnSight } from '#libs/commands/handle-on-sight.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { ExpiringSessions, OpenEviction } from './expiring-sessions.ts';
import type { SessionLog, SessionTarget } from './session-log.ts';
import { activeRefusal, type SessionRejection } from './session.decider.ts';

interface Parts {
  readonly sessionLog: SessionLog;
  readonly expiring: ExpiringSessions;
  /** The bucket of the summaries. */
  readonly summaries: KeyValue;
  /** How long the summary may take to come to the wish. */
  readonly withinMs: number;
}

interface Wish {
  readonly target: SessionTarget;
  /** Of the wish, the same for every repeat. */
  readonly id: string;
  /** The storage meant. */
  readonly name: string;
  readonly reason: string;
  readonly onlyExpired: boolean;
}

/** How it ended. `isNew`: this call has settled it. */
type Eviction =
  | { readonly kind: 'evicted'; readonly seq: number; readonly isNew: boolean }
  | { readonly kind: 'refused'; readonly rejection: Rejection<SessionRejection> };

export interface Evictions {
  /** Faults: `SESSION_EVICTION_OPEN` (later) when the summary does not come to the wish in time; those of log and bucket. */
  evict(wish: Wish): Promise<Eviction>;
  /** Settles a wish that somebody has left. */
  settle(open: OpenEviction, actor: string): Promise<Eviction>;
}

/** Whether runs of a session have not ended, as far as its summary has come; read from the bucket's leader. */
const isActiveIn = async (summaries: KeyValue, boundary: Boundary, sessionId: string): Promise<boolean> => {
  const entry = await summaries.get(viewKey(boundary, sessionId));
  const parsed = entry === undefined ? undefined : sessionViewSchema.safeParse(parseJson(entry.value));
  return parsed?.success === true && parsed.data.activeRuns.length > 0;
};

export const createEvictions = ({ sessionLog, expiring, summaries, withinMs }: Parts): Evictions => {
  /** How it stands, once it is settled. */
  const ended = async (target: SessionTarget): Promise<Eviction> => {
    const { state, seq } = await sessionLog.load(target);
    return state?.storage?.isEvicted === true
      ? { kind: 'evicted', seq, isNew: false }
      : { kind: 'refused', rejection: activeRefusal(target.sessionId) };
  };

  const settle = async ({
    target,
    id,
    runs,
  }: {
    target: SessionTarget;
    id: string;
    runs: readonly string[];
  }) => {
    const { boundary, sessionId } = target;
    const asked = { sessionId, ...boundary };
    const outcome = await sessionLog.handle(
      target,
      { kind: 'settle', asked, evictionId: id, runs },
      { id: `${id}.settled` },
    );
    if (outcome.kind !== 'accepted') return ended(target);
    return outcome.event.type === 'fleetlog.session.evicted.v1'
      ? ({ kind: 'evicted', seq: outcome.seq, isNew: !outcome.repeated } as const)
      : ({ kind: 'refused', rejection: activeRefusal(sessionId) } as const);
  };

  return {
    evict: async ({ target, id, name, reason, onlyExpired }) => {
      const { boundary, sessionId } = target;
      const wanted = { kind: 'evict', asked: { sessionId, ...boundary }, name, reason, onlyExpired } as const;
      const outcome = await handleOnSight(sessionLog, {
        target,
        options: { id },
        look: async () => ({
          ...wanted,
          evictionId: id,
          isActive: await isActiveIn(summaries, boundary, sessionId),
        }),
      });
      if (outcome?.kind === 'rejected') return { kind: 'refused', rejection: outcome.rejection };
      const { state, seq } = await sessionLog.load(target);
      const open = state?.storage?.eviction?.id;
      if (open === undefined) return ended(target);
      const runs = await expiring.runsAt({ boundary, sessionId, id: open, seq }, withinMs);
      if (runs !== undefined) return settle({ target, id: open, runs });
      const now = await sessionLog.load(target);
      if (now.state?.storage?.eviction?.id !== open) return ended(target);
      throw new Fault({
        code: 'SESSION_EVICTION_OPEN',
        retry: 'later',
        message: `the summary of session ${sessionId} has not come to the eviction yet`,
      });
    },

    settle: ({ boundary, sessionId, id, runs }, actor) =>
      settle({ target: { boundary, sessionId, actor }, id, runs }),
  };
};
