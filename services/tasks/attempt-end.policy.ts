// What the end of a run means for the attempt that it was. Pure and total over every released event of runs.
import type { RunEvent } from '#streams/run.ts';
import type { AttemptEnd } from '#streams/task.ts';

const shorten = (text: string): string => text.slice(0, 2000);

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

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

const goesOn = (): undefined => undefined;

/** By every type: a new one is not taken for an end because it has the shape of one. */
const END: { readonly [Type in RunEvent['type']]: (event: EventOf<Type>) => AttemptEnd | undefined } = {
  'fleetlog.run.created.v1': goesOn,
  'fleetlog.run.claimed.v1': goesOn,
  'fleetlog.run.turn-started.v1': goesOn,
  // The turn of one command; another one follows.
  'fleetlog.run.turn-finished.v1': goesOn,
  'fleetlog.run.cancel-requested.v1': goesOn,
  'fleetlog.run.approval-asked.v1': goesOn,
  'fleetlog.run.approval-counted.v1': goesOn,
  'fleetlog.run.approval-answered.v1': goesOn,
  'fleetlog.run.command-created.v1': goesOn,
  'fleetlog.run.command-acknowledged.v1': goesOn,
  'fleetlog.run.command-finished.v1': goesOn,
  'fleetlog.run.command-cancelled.v1': goesOn,
  'fleetlog.run.lease-expired.v1': endOfLease,
  'fleetlog.run.failed.v1': ({ failure, result, endedAt }) => ({
    outcome: 'failed',
    failure,
    summary: result?.summary ?? '',
    endedAt,
  }),
  'fleetlog.run.cancelled.v1': ({ reason, endedAt }) => ({
    outcome: 'cancelled',
    failure: null,
    summary: reason,
    endedAt,
  }),
  'fleetlog.run.blocked.v1': ({ reason, endedAt }) => ({
    outcome: 'blocked',
    failure: null,
    summary: shorten(reason),
    endedAt,
  }),
  // A turn that yielded ended well and the work is not done: it waits for something, and only a person can tell for what.
  'fleetlog.run.completed.v1': ({ result, endedAt }) => ({
    outcome: result.outcome === 'yielded' ? 'blocked' : 'completed',
    failure: null,
    summary: result.summary,
    endedAt,
  }),
};

/** How the attempt ended; undefined for a transition that does not end its run. */
export const endOfAttempt = (event: RunEvent): AttemptEnd | undefined =>
  (END[event.type] as (event: RunEvent) => AttemptEnd | undefined)(event);
