// What the end of a run means for the attempt that it was. Pure and total over every released event of runs.
import type { RunEvent } from '#streams/run.ts';
import type { AttemptEnd } from '#streams/task.ts';

const shorten = (text: string): string => text.slice(0, 2000);

/** How the attempt ended; undefined for a transition that does not end its run. */
export const endOfAttempt = (event: RunEvent): AttemptEnd | undefined => {
  if (event.type === 'fleetlog.run.lease-expired.v1') return endOfLease(event);
  if (!('endedAt' in event)) return undefined;
  const { endedAt } = event;
  if (event.type === 'fleetlog.run.failed.v1')
    return { outcome: 'failed', failure: event.failure, summary: event.result?.summary ?? '', endedAt };
  if (event.type === 'fleetlog.run.cancelled.v1')
    return { outcome: 'cancelled', failure: null, summary: event.reason, endedAt };
  if (event.type === 'fleetlog.run.blocked.v1')
    return { outcome: 'blocked', failure: null, summary: shorten(event.reason), endedAt };
  // A turn that yielded ended well and the work is not done: it waits for something, and only a person can tell for what.
  const outcome = event.result.outcome === 'yielded' ? 'blocked' : 'completed';
  return { outcome, failure: null, summary: event.result.summary, endedAt };
};

const endOfLease = (
  event: Extract<RunEvent, { readonly type: 'fleetlog.run.lease-expired.v1' }>,
): AttemptEnd | undefined => {
  const { next, runnerId, reason, expiredAt } = event;
  if (next === 'queued') return undefined;
  const message = reason ?? `the lease of runner ${runnerId} expired`;
  return {
    outcome: next,
    failure: next === 'failed' ? { kind: 'runner-lost', message } : null,
    summary: '',
    endedAt: expiredAt,
  };
};
