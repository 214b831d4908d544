// What the control plane asks of sessions: upsert, store, evict. What was written is redacted before anything is decided. Every request
// may be repeated under its own id, which with its content makes the id of the transition.
import { createHash } from 'node:crypto';
import { handleOnSight } from '#libs/commands/handle-on-sight.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import { viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import type { SessionOperation, SessionRequestOf, SessionResultOf } from '#streams/session-requests.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import type { SessionCommand } from '#streams/session.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { SessionLog } from './session-log.ts';

interface Parts {
  readonly sessionLog: SessionLog;
  /** The bucket of the summaries: which runs are under way. */
  readonly summaries: KeyValue;
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

/** Whether runs of a session have not ended, as far as its summary has come; read from the bucket's leader. */
export const isActiveIn = async (
  summaries: KeyValue,
  boundary: Boundary,
  sessionId: string,
): Promise<boolean> => {
  const entry = await summaries.get(viewKey(boundary, sessionId));
  const parsed = entry === undefined ? undefined : sessionViewSchema.safeParse(parseJson(entry.value));
  return parsed?.success === true && parsed.data.activeRuns.length > 0;
};

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

export const createOrders = ({ sessionLog, summaries, redactor }: Parts): Orders => {
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
      const outcome = await handleOnSight(sessionLog, {
        target: { boundary, sessionId, actor },
        options: { id: idOf({ command: wanted, requestId }) },
        look: async () => {
          const isActive = await isActiveIn(summaries, boundary, sessionId);
          return { ...wanted, isActive, onlyExpired: false };
        },
      });
      if (outcome === undefined) throw new InvariantBroken('an eviction is always asked for');
      return answerOf(sessionId, outcome);
    },
  };
};
