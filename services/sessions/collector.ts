// Gives up the storage of sessions whose time is over: now and then, by whichever instance holds the collector's lease, and when asked.
// Each is looked at anew in bucket and log, and evicted at the expected sequence of its own subject: two collectors, or one that died
// half-way, evict once. Sessions with a run under way, or one that is just beginning, are left alone (WK-57, evictions.ts). Removes no file: the
// keeper of the storage follows the log.
import { aborted } from '#libs/service/aborted.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Evictions } from './evictions.ts';
import type { ExpiringSession, ExpiringSessions } from './expiring-sessions.ts';

/** One round or request evicts this many at most. */
const MOST_AT_ONCE = 500;
/** Each waits for the summary to come to its wish, and they wait together. */
const EVICTED_TOGETHER = 50;
/** Keys of runs and approvals have more tokens. */
const LEASE_KEY = 'fleet.sessions.collector';

interface Parts {
  readonly evictions: Evictions;
  readonly expiring: ExpiringSessions;
  /** The bucket `leases`. */
  readonly leases: KeyValue;
  readonly clock: Clock;
  /** Of this instance. */
  readonly owner: string;
  readonly onTrouble: (sessionId: string, fault: Fault) => void;
}

interface Collected {
  /** Evicted, or due where it was a trial. */
  readonly sessions: readonly ExpiringSession[];
  readonly hasMore: boolean;
}

export interface Collector {
  /** Collects now and then while this instance holds the lease, until the signal aborts. */
  run(everyMs: number, signal: AbortSignal): Promise<void>;
  /** Evicts what is due, everywhere or in one tenant and project; with `isTrial` only says what. */
  collect(asked: {
    readonly boundary?: Boundary;
    readonly isTrial: boolean;
    readonly actor: string;
  }): Promise<Collected>;
}

/** Takes or renews the lease; gives its revision, or undefined when another instance has it. */
const hold = async (
  { leases, owner, clock }: Pick<Parts, 'leases' | 'owner' | 'clock'>,
  ttlMs: number,
): Promise<number | undefined> => {
  const held = await leases.get(LEASE_KEY);
  const by =
    held === undefined ? owner : (parseJson(held.value) as { readonly owner?: unknown } | null)?.owner;
  if (by !== owner) return undefined;
  const value = jsonBytes({ owner, renewedAt: clock.now() });
  const outcome = await leases.put(LEASE_KEY, value, { expectedRevision: held?.revision ?? 0, ttlMs });
  return outcome.kind === 'stored' ? outcome.revision : undefined;
};

export const createCollector = (parts: Parts): Collector => {
  const { evictions, expiring, leases, clock, onTrouble } = parts;

  const evict = async ({ boundary, sessionId, name }: ExpiringSession, actor: string): Promise<boolean> => {
    const eviction = await evictions.evict({
      target: { boundary, sessionId, actor },
      id: `${sessionId}.collect.${clock.now()}`,
      name,
      reason: 'its time is over',
      onlyExpired: true,
    });
    return eviction.kind === 'evicted' && eviction.isNew;
  };

  const evictOrLeave = async (session: ExpiringSession, actor: string): Promise<boolean> => {
    try {
      return await evict(session, actor);
    } catch (error) {
      onTrouble(session.sessionId, toFault(error));
      return false;
    }
  };

  /** What somebody has asked for and died before it was settled. */
  const settleLeft = async (boundary: Boundary | undefined, actor: string): Promise<void> => {
    for (const open of expiring.open(boundary))
      try {
        await evictions.settle(open, actor);
      } catch (error) {
        onTrouble(open.sessionId, toFault(error));
      }
  };

  const collect: Collector['collect'] = async ({ boundary, isTrial, actor }) => {
    await expiring.ready;
    if (!isTrial) await settleLeft(boundary, actor);
    const due = expiring.due(clock.now(), boundary);
    const taken = due.slice(0, MOST_AT_ONCE);
    const hasMore = due.length > taken.length;
    if (isTrial) return { sessions: taken, hasMore };
    const sessions: ExpiringSession[] = [];
    for (let at = 0; at < taken.length; at += EVICTED_TOGETHER)
      await Promise.all(
        taken.slice(at, at + EVICTED_TOGETHER).map(async (session) => {
          if (await evictOrLeave(session, actor)) sessions.push(session);
        }),
      );
    return { sessions, hasMore };
  };

  return {
    collect,
    run: async (everyMs, signal) => {
      // Stopped before the summaries were there: nothing else would end the waiting.
      await Promise.race([expiring.ready, aborted(signal)]);
      const ttlMs = Math.ceil((everyMs * 3) / 1000) * 1000;
      let revision: number | undefined;
      while (!signal.aborted) {
        revision = await hold(parts, ttlMs);
        if (revision !== undefined) await collect({ isTrial: false, actor: 'service:sessions' });
        await clock.sleep(everyMs, signal);
      }
      // The next instance need not wait for the time of the lease.
      if (revision !== undefined) await leases.delete(LEASE_KEY, { expectedRevision: revision });
    },
  };
};
