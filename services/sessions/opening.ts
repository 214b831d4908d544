// The reactor that opens sessions: the first run of a session begins it. A session that is another agent's, or of another provider, is
// not opened to that run: the run is cancelled. Whoever creates runs has looked before (see gateway), so that is for those who raced or
// did not look. At least once in, exactly once out: the opening has the session's id.
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { knownOf } from '#streams/entry.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { RUN_REQUESTS } from '#streams/run-requests.ts';
import type { RunCreated } from '#streams/run.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';
import type { SessionLog, SessionTarget } from './session-log.ts';

/** A run that was created in a session. */
export interface RunInSession {
  readonly boundary: Boundary;
  readonly run: Pick<RunCreated, 'runId' | 'sessionId' | 'agent' | 'provider' | 'task'>;
  readonly actor: string;
  readonly causation: string;
}

/** The new run of an entry; undefined for every other transition. Fault: `ENTRY_UNREADABLE` (never). */
export const decodeRunInSession = (entry: StoredEntry): RunInSession | undefined => {
  const reading = knownOf(decodeRunEvent(entry));
  if (reading?.event.type !== 'fleetlog.run.created.v1') return undefined;
  const { envelope, place, event } = reading;
  const boundary = { tenant: place.tenant, project: place.project };
  return { boundary, run: event, actor: envelope.actor, causation: envelope.id };
};

interface Parts {
  readonly sessionLog: SessionLog;
  readonly requests: RequestClient;
  /** How long the owner of runs may take to answer. */
  readonly timeoutMs: number;
}

export interface Opening {
  handle(created: RunInSession): Promise<Handled>;
}

export const createOpening = ({ sessionLog, requests, timeoutMs }: Parts): Opening => {
  const turnAway = async ({ boundary, run }: RunInSession, { message }: Rejection): Promise<void> => {
    const answer = await askRequest(requests, {
      subject: requestSubject(boundary, 'runs', 'cancel'),
      request: { runId: run.runId, reason: message.slice(0, 500), actor: 'service:sessions' },
      answer: RUN_REQUESTS.cancel.answer,
      timeoutMs,
    });
    if (answer.outcome !== 'fault') return;
    const { code, retry, message: why } = answer;
    throw new Fault({ code, retry, message: why });
  };

  return {
    handle: async (created) => {
      const { boundary, run, actor, causation } = created;
      const { sessionId, agent, provider, runId } = run;
      const target: SessionTarget = { boundary, sessionId, actor, causation };
      const asked = { sessionId, ...boundary, agent, provider };
      // The run is part of the id: another one of the same session finds the session open, and is judged by the rule.
      const id = `${sessionId}.open.${runId}`;
      const outcome = await sessionLog.handle(target, { kind: 'open', asked, runId }, { id, begins: true });
      if (outcome.kind !== 'rejected') return ok;
      await turnAway(created, outcome.rejection);
      return outcome;
    },
  };
};
