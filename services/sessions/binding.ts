// What runners report about the conversation that a program is in becomes the session's: the id that the next turn goes on with. A report
// of another agent than the session's is refused; one of an older claim changes nothing. At least once in, exactly once out.
import type { Handled } from '#libs/consumers/disposition.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { knownOf } from '#streams/entry.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { decodeRunInSession, type Opening } from './opening.ts';
import type { SessionLog, SessionTarget } from './session-log.ts';

/** A report of the conversation that a program is in. */
export interface BoundConversation {
  readonly boundary: Boundary;
  readonly agent: string;
  readonly sessionId: string;
  readonly runId: string;
  readonly fence: number;
  readonly providerSessionId: string;
  readonly causation: string;
}

/** The report of an entry; undefined for one that binds nothing: without a claim, or to an id that is none. Fault: `ENTRY_UNREADABLE` (never). */
export const decodeBoundConversation = (entry: StoredEntry): BoundConversation | undefined => {
  const reading = knownOf(decodeReport(entry));
  if (reading === undefined || (reading.name !== 'session-bound' && reading.name !== 'session-forked'))
    return undefined;
  const { place, envelope, data } = reading;
  const { sessionId, runId, providerSessionId } = data;
  if (place.kind !== 'typed' || envelope.fence === undefined) return undefined;
  if (providerSessionId === '' || providerSessionId.length > 500) return undefined;
  const { tenant, project, id: agent } = place;
  const about = { sessionId, runId, providerSessionId, fence: envelope.fence };
  return { boundary: { tenant, project }, agent, ...about, causation: envelope.id };
};

interface Parts {
  readonly sessionLog: SessionLog;
  readonly opening: Opening;
  /** The log of TRANSITIONS. */
  readonly log: EventLog;
}

export const createBinding = ({
  sessionLog,
  opening,
  log,
}: Parts): { handle(bound: BoundConversation): Promise<Handled> } => {
  /** The report may be faster than the news of the run that it is of. */
  const openFirst = async ({ boundary, runId, sessionId }: BoundConversation): Promise<void> => {
    for await (const entry of log.read(aggregateSubject(boundary, 'run', runId))) {
      const created = decodeRunInSession(entry);
      if (created?.run.sessionId === sessionId) await opening.handle(created);
      return;
    }
  };

  return {
    handle: async (bound) => {
      const { boundary, agent, sessionId, runId, fence, providerSessionId, causation } = bound;
      const target: SessionTarget = { boundary, sessionId, actor: `agent:${agent}`, causation };
      const { state } = await sessionLog.load(target);
      if (state === undefined) await openFirst(bound);
      const asked = { sessionId, ...boundary, agent };
      return sessionLog.handle(
        target,
        { kind: 'bind', asked, providerSessionId, boundBy: { runId, fence } },
        { id: `${causation}.bind` },
      );
    },
  };
};
