// Whose conversation a new task is to go on with: one that nobody knows, of another agent or with another provider is refused before the task is on
// record, by whatever way it is asked for; its attempts would only fail. No lock: the owner of the session judges each attempt again.
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { viewKey } from '#streams/buckets.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import { decodeSessionEvent } from '#streams/session-codec.ts';
import { foreignToSession, noSession } from '#streams/session-owner.policy.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import type { TaskRequestOf } from '#streams/task-requests.ts';

/** Why the task may not be; undefined: nothing is known against it. Faults: those of the log and of the bucket. */
export type SessionCheck = (
  boundary: Boundary,
  order: Pick<TaskRequestOf<'create'>, 'sessionId' | 'agent' | 'provider'>,
) => Promise<Rejection<RejectionCode> | undefined>;

/** `log` is that of TRANSITIONS, `summaries` the bucket `sessions`. */
export const createSessionCheck =
  (log: EventLog, summaries: KeyValue): SessionCheck =>
  async (boundary, { sessionId, agent, provider }) => {
    if (sessionId === null) return undefined;
    const last = await log.last(aggregateSubject(boundary, 'session', sessionId));
    if (last === undefined) {
      // Its first run may be there already and its opening not yet: the summary says so from that run on.
      const isKnown = (await summaries.get(viewKey(boundary, sessionId))) !== undefined;
      return isKnown ? undefined : noSession(sessionId);
    }
    const reading = decodeSessionEvent(last);
    return reading.kind === 'known' ? foreignToSession(reading.event, { agent, provider }) : undefined;
  };
