// Whose session a new run is asked for: a run of another agent, or with another provider, is refused before it is created, whoever asks and by
// which way. Who raced the opening of the session is turned away by its owner (services/sessions/opening.ts); this is no lock.
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import { decodeSessionEvent } from '#streams/session-codec.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';

/** Why the run may not be; undefined: nothing is known against it. Faults: the log's. */
export type SessionCheck = (
  boundary: Boundary,
  asked: Pick<RunRequestOf<'create'>, 'sessionId' | 'agent' | 'provider' | 'task'>,
) => Promise<Rejection<RejectionCode> | undefined>;

/** `log` is that of TRANSITIONS. */
export const createSessionCheck =
  (log: EventLog): SessionCheck =>
  async (boundary, { sessionId, agent, provider, task }) => {
    // The attempt of a task: its order was looked at, and the session is new where it names none.
    if (task !== undefined) return undefined;
    const last = await log.lastSeen(aggregateSubject(boundary, 'session', sessionId));
    const reading = last && decodeSessionEvent(last);
    if (reading?.kind !== 'known') return undefined;
    const { event: session } = reading;
    if (session.agent !== agent)
      return rejection('SESSION_FOREIGN', `session ${sessionId} is a conversation of another agent`, {
        sessionId,
      });
    if (session.provider === provider) return undefined;
    return rejection(
      'SESSION_OTHER_PROVIDER',
      `session ${sessionId} is of provider ${session.provider}, not ${provider}`,
      { sessionId, existing: session.provider, requested: provider },
    );
  };
