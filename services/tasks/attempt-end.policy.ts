// What the end of a run means for the attempt that it was. Pure and total over every released event of runs.
import type { RunEvent } from '#streams/run.ts';
import type { AttemptEnd } from '#streams/task.ts';

const shorten = (text: string): string => text.slice(0, 2000);

/** How the attempt ended; undefined for a transition that does not end its run (a turn that another one follows among them). */
export const endOfAttempt = (event: RunEvent): AttemptEnd | undefined => {
  switch (event.type) {
    case 'fleetlog.run.lease-expired.v1':
      return endOfLease(event);
    case 'fleetlog.run.failed.v1': {
      const { failure, result, endedAt } = event;
      return { outcome: 'failed', failure, summary: result?.summary ?? '', endedAt };
    }
    case 'fleetlog.run.cancelled.v1':
      return { outcome: 'cancelled', failure: null, summary: event.reason, endedAt: event.endedAt };
    case 'fleetlog.run.blocked.v1':
      return { outcome: 'blocked', failure: null, summary: shorten(event.reason), endedAt: event.endedAt };
    case 'fleetlog.run.completed.v1': {
      const { result, endedAt } = event;
      // A turn that yielded ended well and the work is not done: it waits for something, and only a person can tell for what.
      const outcome = result.outcome === 'yielded' ? 'blocked' : 'completed';
      return { outcome, failure: null, summary: result.summary, endedAt };
    }
    default:
      return undefined;
  }
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
