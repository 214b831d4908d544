// What the runs service answers (streams/run-requests.ts): reads the request, asks the rules, writes the answer.
// Every request may be repeated: ids are derived from it. Input that breaks the contract is refused before anything is read,
// and what people wrote is redacted before anything is decided: secrets reach neither the log nor a runner through it.
import type { z } from 'zod';
import type { ServedRequest } from '#libs/service/define-service.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { RequestMessage } from '#libs/ports/requests.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { presenceKey, type Presence } from '#streams/buckets.ts';
import { issuesOf, jsonBytes, parseJson } from '#streams/entry.ts';
import {
  isRunnerOperation,
  RUN_REQUESTS,
  type RunnerOperation,
  type RunOperation,
  type RunRequestOf,
  type RunResultOf,
} from '#streams/run-requests.ts';
import {
  agentRequestFilter,
  parseRequestSubject,
  requestFilter,
  type AgentPlace,
  type Boundary,
} from '#streams/subjects.ts';
import { ok, refused, type Answer, type Claims } from './claims.ts';
import { ttlOf } from './leases.ts';
import { attemptCommandId, hashOf, type RunLog } from './run-log.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly claims: Claims;
  readonly answerApproval: Handle<'answer-approval'>;
  readonly presence: KeyValue;
  readonly redactor: Redactor;
  readonly clock: Clock;
}

/** Who asks, from the subject: the broker has checked it. Runners ask in the name of their agent, the control plane in nobody's. */
type Asker<Op extends RunOperation> = Op extends RunnerOperation ? AgentPlace : Boundary;

type Handle<Op extends RunOperation> = (
  asker: Asker<Op>,
  request: RunRequestOf<Op>,
) => Promise<Answer<RunResultOf<Op>>>;

const create =
  ({ runLog, redactor }: Parts): Handle<'create'> =>
  async (boundary, request) => {
    // Redaction keeps the shape: strings stay strings, names and ids are as they were.
    const { actor, ...asked } = redactor.value(request).value as typeof request;
    const { runId, sessionId } = asked;
    const requestHash = hashOf(asked);
    const data = { ...asked, requestHash, commandId: attemptCommandId(runId, 1) };
    // The hash is part of the id: the same request finds its event, another one meets the rule.
    const id = `${runId}.create.${requestHash.slice(0, 32)}`;
    const outcome = await runLog.handle({ boundary, runId, actor }, { kind: 'create', data }, { id });
    if (outcome.kind === 'rejected') return refused(outcome.rejection);
    const repeated = outcome.kind === 'unchanged' || outcome.repeated;
    const made = { runId, sessionId, seq: outcome.seq, repeated };
    if (!repeated) return ok({ ...made, state: 'queued', turnId: null });
    const { state } = await runLog.load({ boundary, runId, actor });
    return ok({ ...made, state: state?.state ?? 'queued', turnId: state?.turnId ?? null });
  };

const cancel =
  ({ runLog, redactor }: Parts): Handle<'cancel'> =>
  async (boundary, { runId, reason: given, actor }) => {
    const target = { boundary, runId, actor };
    const reason = redactor.text(given).value.slice(0, 500);
    // A run is asked to cancel at most once, so the id needs nothing of the request.
    const outcome = await runLog.handle(target, { kind: 'cancel', reason }, { id: `${runId}.cancel` });
    if (outcome.kind === 'rejected') return refused(outcome.rejection);
    if (outcome.kind === 'accepted' && !outcome.repeated) {
      const isOver = outcome.event.type === 'fleetlog.run.cancelled.v1';
      return ok({ runId, seq: outcome.seq, state: isOver ? 'cancelled' : 'cancelling' });
    }
    const { state, seq } = outcome.kind === 'unchanged' ? outcome : await runLog.load(target);
    return ok({ runId, seq, state: state?.state ?? 'cancelled' });
  };

const announce =
  ({ presence, clock }: Parts): Handle<'announce'> =>
  async (asker, { ttlMs: asked, ...runner }) => {
    const ttlMs = ttlOf(asked);
    const value: Presence = { agent: asker.agent, ...runner, seenAt: clock.now() };
    await presence.put(presenceKey(asker, asker.agent), jsonBytes(value), { ttlMs });
    return ok({ ttlMs });
  };

const requestOf = <Op extends RunOperation>(operation: Op, message: RequestMessage) => {
  const parsedSubject = parseRequestSubject(message.subject);
  if (parsedSubject === undefined || (parsedSubject.agent !== undefined) !== isRunnerOperation(operation))
    throw invalid(`subject ${message.subject}`);
  const { service: _service, operation: _operation, ...asker } = parsedSubject;
  const schema = RUN_REQUESTS[operation].request as unknown as z.ZodType<RunRequestOf<Op>>;
  const parsed = schema.safeParse(parseJson(message.body));
  if (!parsed.success) throw invalid(issuesOf(parsed.error));
  return { asker: asker as Asker<Op>, request: parsed.data };
};

const invalid = (why: string): Fault =>
  new Fault({ code: 'REQUEST_INVALID', retry: 'never', message: `the request breaks its contract: ${why}` });

/** One operation as a served request. Broken invariants go up (the process ends), everything else is an answer. */
const serve = <Op extends RunOperation>(operation: Op, handle: Handle<Op>): ServedRequest => ({
  subject: isRunnerOperation(operation)
    ? agentRequestFilter('runs', operation)
    : requestFilter('runs', operation),
  handle: async (message) => {
    try {
      const { asker, request } = requestOf(operation, message);
      const answer = await handle(asker, request);
      if (answer.kind === 'ok') return { body: jsonBytes({ outcome: 'ok', result: answer.result }) };
      return { body: jsonBytes({ outcome: 'refused', ...answer.rejection }) };
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      const { code, message: text, retry } = toFault(error);
      return { body: jsonBytes({ outcome: 'fault', code, message: text, retry }) };
    }
  },
});

/** All operations of the service. */
export const runRequests = (parts: Parts): readonly ServedRequest[] => [
  serve('create', create(parts)),
  serve('cancel', cancel(parts)),
  serve('answer-approval', parts.answerApproval),
  serve('claim', (asker, request) => parts.claims.claim(asker, request)),
  serve('renew', (asker, request) => parts.claims.renew(asker, request)),
  serve('announce', announce(parts)),
];
