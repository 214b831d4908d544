// The session aggregate on its log: commands are decided against the folded history and appended to TRANSITIONS. Ids are derived from
// what caused the command, so that a repeat is the same append.
import type { CommandHandler } from '#libs/commands/command-handler.ts';
import { createCommandHandler } from '#libs/commands/handle-command.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { historyOf } from '#streams/entry.ts';
import { decodeSessionEvent, encodeSessionEvent } from '#streams/session-codec.ts';
import type { SessionCommand, SessionEvent } from '#streams/session.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import type { SessionState } from './session-state.policy.ts';
import { sessionDecider, type SessionRejection } from './session.decider.ts';

/** A session, and on whose behalf something is done to it. */
export interface SessionTarget {
  readonly boundary: Boundary;
  readonly sessionId: string;
  /** `user:anna`, `agent:builder-1`, `service:sessions`. */
  readonly actor: string;
  /** Id of the entry that caused the command. */
  readonly causation?: string;
}

/** Decides and appends; see libs/commands. */
export type SessionLog = CommandHandler<
  SessionTarget,
  SessionCommand,
  SessionEvent,
  SessionState,
  SessionRejection
>;

/** The process that appends the transitions of sessions. */
const SOURCE = '/service/sessions';

/** The event of an entry; undefined: of a newer version, passed over. Throws `SESSION_UNREADABLE` (never): nothing is decided from a history that is not understood. */
const decodeEntry = (entry: StoredEntry): SessionEvent | undefined =>
  historyOf(decodeSessionEvent(entry), entry, 'SESSION_UNREADABLE')?.event;

/** Builds the handler; `log` is that of TRANSITIONS. */
export const createSessionLog = (parts: {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly ids: Ids;
}): SessionLog =>
  createCommandHandler<SessionTarget, SessionCommand, SessionEvent, SessionState, SessionRejection>({
    ...parts,
    decider: sessionDecider,
    subjectOf: ({ boundary, sessionId }) => aggregateSubject(boundary, 'session', sessionId),
    encode: (event, { target, id, now }) =>
      encodeSessionEvent(event, {
        boundary: target.boundary,
        id,
        source: SOURCE,
        timeMs: now,
        actor: target.actor,
        correlation: target.sessionId,
        ...(target.causation !== undefined && { causation: target.causation }),
      }),
    decodeEntry,
  });
