// The run that puts a batch of messages before their agent: asked of the service that owns runs, under an id that follows from the batch.
// Asked again it is the same run, and the answer says what has become of it. Does not read the messages: the runner has rendered them.
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import { viewKey } from '#streams/buckets.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import { parseJson } from '#streams/entry.ts';
import {
  mailRunId,
  mailSessionId,
  type AgentMailRequestOf,
  type AgentMailResultOf,
} from '#streams/mail-requests.ts';
import { REJECTIONS, type RejectionCode } from '#streams/rejections.ts';
import { RUN_REQUESTS, type RunRequestOf, type RunResultOf } from '#streams/run-requests.ts';
import { foreignToSession, type OwnedSession } from '#streams/session-owner.policy.ts';
import { requestSubject, type AgentPlace } from '#streams/subjects.ts';

interface Parts {
  readonly client: RequestClient;
  /** Bucket `sessions`. */
  readonly sessions: KeyValue;
  /** Hard limit of a turn that names none. */
  readonly turnTimeoutMs: number;
}

type BeginTurn = (
  asker: AgentPlace,
  request: AgentMailRequestOf<'begin-turn'>,
) => Promise<Answer<AgentMailResultOf<'begin-turn'>, RejectionCode>>;

/** Below the time that the asking runner waits for its answer. */
const TIMEOUT_MS = 4000;
const LEASE_MS = 30_000;

const runOf = (
  { agent }: AgentPlace,
  request: AgentMailRequestOf<'begin-turn'>,
  turnTimeoutMs: number,
): RunRequestOf<'create'> => ({
  runId: mailRunId(request.batchId),
  sessionId: request.sessionId ?? mailSessionId(request.batchId),
  mayOpenSession: true,
  agent,
  provider: request.provider,
  title: request.messageIds.length === 1 ? '1 message' : `${request.messageIds.length} messages`,
  request: {
    prompt: request.prompt,
    turnTimeoutMs: request.turnTimeoutMs ?? turnTimeoutMs,
    ...(request.workspace !== undefined && { workspace: request.workspace }),
  },
  // A prompt of messages is started once at most: what came to nothing is put into the next batch by the runner.
  replay: 'fail',
  maxAttempts: 1,
  leaseMs: LEASE_MS,
  actor: `agent:${agent}`,
});

const isKnown = (code: string): code is RejectionCode => code in REJECTIONS;

export const createBeginTurn = ({ client, sessions, turnTimeoutMs }: Parts): BeginTurn => {
  /** Whose a session is that is known already. */
  const ownerOf = async (place: AgentPlace, sessionId: string): Promise<OwnedSession | undefined> => {
    const entry = await sessions.get(viewKey(place, sessionId));
    return entry === undefined ? undefined : sessionViewSchema.parse(parseJson(entry.value));
  };
  return async (asker, request) => {
    const { sessionId } = request;
    const owner = sessionId === undefined ? undefined : await ownerOf(asker, sessionId);
    const foreign = owner && foreignToSession(owner, { agent: asker.agent });
    if (foreign !== undefined) return refused(foreign);
    const answer = await askRequest<RunResultOf<'create'>>(client, {
      subject: requestSubject(asker, 'runs', 'create'),
      request: runOf(asker, request, turnTimeoutMs),
      answer: RUN_REQUESTS.create.answer,
      timeoutMs: TIMEOUT_MS,
    });
    if (answer.outcome === 'ok') {
      const { runId, sessionId: session, seq, state, turnId } = answer.result;
      return ok({ runId, sessionId: session, seq, state, turnId });
    }
    const { code, message } = answer;
    if (answer.outcome === 'refused' && isKnown(code))
      return refused(rejection(code, message, answer.detail));
    throw new Fault({ code, retry: answer.outcome === 'fault' ? answer.retry : 'never', message });
  };
};
