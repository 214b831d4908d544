// What the control plane asks of sessions: upsert, store, evict. What was written is redacted before anything is decided. Every request
// may be repeated under its own id, which with its content makes the id of the transition.
import { createHash } from 'node:crypto';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import type { SessionOperation, SessionRequestOf, SessionResultOf } from '#streams/session-requests.ts';
import type { SessionCommand } from '#streams/session.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Evictions } from './evictions.ts';
import type { SessionLog } from './session-log.ts';

interface Parts {
  readonly sessionLog: SessionLog;
  readonly evictions: Evictions;
  readonly redactor: Redactor;
}

export type Asked<Op extends SessionOperation> = (
  boundary: Boundary,
  request: SessionRequestOf<Op>,
) => Promise<Answer<SessionResultOf<Op>>>;

export interface Orders {
  readonly upsert: Asked<'upsert'>;
  readonly store: Asked<'store'>;
  readonly evict: Asked<'evict'>;
}

/** What the session is asked, and by which request of whom. */
interface Order {
  readonly command: SessionCommand;
  readonly requestId: string;
  readonly actor: string;
}

/** Of a request and all that it asks; what was looked up for it is no part of it. */
const idOf = ({
  command,
  requestId,
}: {
  readonly command: Pick<SessionCommand, 'kind' | 'asked'>;
  readonly requestId: string;
}): string => {
  const asked = createHash('sha256')
    .update(JSON.stringify([requestId, command]))
    .digest('hex')
    .slice(0, 32);
  return `${command.asked.sessionId}.${command.kind}.${asked}`;
};

const answerOf = (
  sessionId: string,
  outcome: Awaited<ReturnType<SessionLog['handle']>>,
): Answer<SessionResultOf<'upsert'>> =>
  outcome.kind === 'rejected'
    ? refused(outcome.rejection)
    : ok({ sessionId, seq: outcome.seq, repeated: outcome.kind === 'unchanged' || outcome.repeated });

export const createOrders = ({ sessionLog, evictions, redactor }: Parts): Orders => {
  const decide = async (
    boundary: Boundary,
    { command, requestId, actor }: Order,
  ): Promise<Answer<SessionResultOf<'upsert'>>> => {
    const { sessionId } = command.asked;
    const id = idOf({ command, requestId });
    return answerOf(sessionId, await sessionLog.handle({ boundary, sessionId, actor }, command, { id }));
  };

  return {
    upsert: (boundary, { requestId, actor, ...request }) => {
      const { sessionId, agent, provider, details } = request;
      const asked = { sessionId, ...boundary, agent, provider };
      // Redaction keeps the shape: strings stay strings, names and ids are as they were.
      const told = redactor.value(details).value as typeof details;
      return decide(boundary, { command: { kind: 'upsert', asked, details: told }, requestId, actor });
    },

    store: (boundary, { sessionId, storage, subfolder, requestId, actor }) => {
      const asked = { sessionId, ...boundary };
      return decide(boundary, { command: { kind: 'store', asked, storage, subfolder }, requestId, actor });
    },

    evict: async (boundary, { sessionId, name, reason: given, requestId, actor }) => {
      const reason = redactor.text(given).value.slice(0, 500);
      const wanted = { kind: 'evict', asked: { sessionId, ...boundary }, name, reason } as const;
      const target = { boundary, sessionId, actor };
      const id = idOf({ command: wanted, requestId });
      const eviction = await evictions.evict({ target, id, name, reason, onlyExpired: false });
      return eviction.kind === 'refused'
        ? refused(eviction.rejection)
        : ok({ sessionId, seq: eviction.seq, repeated: !eviction.isNew });
    },
  };
};
