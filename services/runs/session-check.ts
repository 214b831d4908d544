// Whose session a new run is asked for: a run of another agent, with another provider, or in a session that nobody knows is refused before it
// is created, whoever asks and by which way. Who raced the opening of the session is turned away by its owner (services/sessions/opening.ts); this is no lock.
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { viewKey } from '#streams/buckets.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import { decodeSessionEvent } from '#streams/session-codec.ts';
import { foreignToSession, noSession } from '#streams/session-owner.policy.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';

/** Why the run may not be; undefined: nothing is known against it. Faults: the log's. */
export type SessionCheck = (
  boundary: Boundary,
  asked: Pick<RunRequestOf<'create'>, 'sessionId' | 'agent' | 'provider' | 'task' | 'mayOpenSession'>,
) => Promise<Rejection<RejectionCode> | undefined>;

/** `log` is that of TRANSITIONS, `summaries` the bucket `sessions`. */
export const createSessionCheck = (log: EventLog, summaries: KeyValue): SessionCheck => {
  /** Its first run may be there already and its opening not yet: the summary says so from that run on. */
  const isKnown = async (boundary: Boundary, sessionId: string): Promise<boolean> => {
    const key = viewKey(boundary, sessionId);
    if ((await summaries.get(key)) !== undefined) return true;
    return (await log.last(aggregateSubject(boundary, 'session', sessionId))) !== undefined;
  };
  return async (boundary, { sessionId, agent, provider, task, mayOpenSession }) => {
    // The attempt of a task that names none: the session is its own.
    if (task !== undefined && mayOpenSession === true) return undefined;
    const last = await log.lastSeen(aggregateSubject(boundary, 'session', sessionId));
    if (last === undefined)
      return mayOpenSession === true || (await isKnown(boundary, sessionId))
        ? undefined
        : noSession(sessionId, '; a request that is to open it says mayOpenSession');
    const reading = decodeSessionEvent(last);
    return reading.kind === 'known' ? foreignToSession(reading.event, { agent, provider }) : undefined;
  };
};
