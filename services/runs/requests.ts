// What the runs service answers (streams/run-requests.ts): reads the request, asks the rules, writes the answer.
// Every request may be repeated: ids are derived from it. Input that breaks the contract is refused before anything is read,
// and what people wrote is redacted before anything is decided: secrets reach neither the log nor a runner through it.
import type { z } from 'zod';
import type { ServedRequest } from '#libs/service/define-service.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import { ok, refused } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import { presenceKey, type Presence } from '#streams/buckets.ts';
import { contractOf, OLDEST_CONTRACT } from '#streams/contract-version.ts';
import { jsonBytes } from '#streams/entry.ts';
import {
  isRunnerOperation,
  RUN_REQUESTS,
  type RunnerOperation,
  type RunOperation,
  type RunRequestOf,
  type RunResultOf,
} from '#streams/run-requests.ts';
import type { RunCreated } from '#streams/run.ts';
import {
  agentRequestFilter,
  askingAgentOf,
  controlPlaneOf,
  requestFilter,
  type AgentPlace,
  type Boundary,
} from '#streams/subjects.ts';
import type { Claims, RunAnswer } from './claims.ts';
import type { Instructions } from './instructions.ts';
import { cancelCommandRequest, createCommandRequest } from './command-requests.ts';
import { ttlOf } from './leases.ts';
import { retryRequest } from './retry.ts';
import { attemptCommandId, hashOf, type RunLog } from './run-log.ts';
import type { SessionCheck } from './session-check.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly instructions: Pick<Instructions, 'beginSoon'>;
  readonly checkSession: SessionCheck;
  readonly claims: Claims;
  readonly answerApproval: Handle<'answer-approval'>;
  readonly unstick: Handle<'unstick'>;
  readonly presence: KeyValue;
  readonly redactor: Redactor;
  readonly clock: Clock;
}

/** Who asks, from the subject: the broker has checked it. Runners ask in the name of their agent, the control plane in nobody's. */
type Asker<Op extends RunOperation> = Op extends RunnerOperation ? AgentPlace : Boundary;

type Handle<Op extends RunOperation> = (
  asker: Asker<Op>,
  request: RunRequestOf<Op>,
) => Promise<RunAnswer<RunResultOf<Op>>>;

/** The creation that this command has stored; undefined: none. */
const createdNow = (outcome: Awaited<ReturnType<RunLog['handle']>>): RunCreated | undefined =>
  outcome.kind === 'accepted' && !outcome.repeated && outcome.event.type === 'fleetlog.run.created.v1'
    ? outcome.event
    : undefined;

const create =
  ({ runLog, redactor, instructions, checkSession }: Parts): Handle<'create'> =>
  async (boundary, request) => {
    // Redaction keeps the shape: strings stay strings, names and ids are as they were.
    const {
      actor,
      startedBy = actor,
      mayOpenSession,
      ...asked
    } = redactor.value(request).value as typeof request;
    const { runId, sessionId } = asked;
    const refusal = await checkSession(boundary, { ...asked, mayOpenSession });
    if (refusal !== undefined) return refused(refusal);
    const requestHash = hashOf(asked);
    const data = { ...asked, startedBy, requestHash, commandId: attemptCommandId(runId, 1) };
    // The hash is part of the id: the same request finds its event, another one meets the rule.
    const id = `${runId}.create.${requestHash.slice(0, 32)}`;
    const target = { boundary, runId, actor };
    const isNew = runLog.remembered(target) === undefined;
    const deciding = runLog.handle(target, { kind: 'create', data }, { id, begins: true });
    // What the attempt of a task is about follows from the task: whoever else creates it says the same.
    const isSure = asked.task !== undefined && isNew;
    instructions.beginSoon(
      { boundary, causation: id, actor },
      deciding.then(createdNow),
      isSure ? data : undefined,
    );
    const outcome = await deciding;
    if (outcome.kind === 'rejected') return refused(outcome.rejection);
    const repeated = outcome.kind === 'unchanged' || outcome.repeated;
    const made = { runId, sessionId, seq: outcome.seq, repeated };
    if (!repeated) return ok({ ...made, state: 'queued', turnId: null });
    const { state } = await runLog.load(target);
    return ok({ ...made, state: state?.state ?? 'queued', turnId: state?.startedTurnId ?? null });
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
    const contract = contractOf(runner);
    if (contract < OLDEST_CONTRACT)
      return refused(
        rejection(
          'CONTRACT_TOO_OLD',
          `the runner of ${asker.agent} (version ${runner.version}) speaks contract ${contract}; at least ${OLDEST_CONTRACT} is needed: install a newer version there`,
          { contract, oldest: OLDEST_CONTRACT },
        ),
      );
    const ttlMs = ttlOf(asked);
    const value: Presence = { agent: asker.agent, ...runner, seenAt: clock.now() };
    await presence.put(presenceKey(asker, asker.agent), jsonBytes(value), { ttlMs });
    return ok({ ttlMs });
  };

/** One operation as a served request: runners ask in the name of their agent, the control plane in nobody's. */
const serve = <Op extends RunOperation>(operation: Op, handle: Handle<Op>): ServedRequest => {
  const byAgent = isRunnerOperation(operation);
  return serveRequest({
    subject: byAgent ? agentRequestFilter('runs', operation) : requestFilter('runs', operation),
    askerOf: (byAgent ? askingAgentOf : controlPlaneOf) as (subject: string) => Asker<Op> | undefined,
    means: RUN_REQUESTS[operation].means,
    schema: RUN_REQUESTS[operation].request as unknown as z.ZodType<RunRequestOf<Op>>,
    handle,
  });
};

/** All operations of the service. */
export const runRequests = (parts: Parts): readonly ServedRequest[] => [
  serve('create', create(parts)),
  serve('cancel', cancel(parts)),
  serve('answer-approval', parts.answerApproval),
  serve('create-command', createCommandRequest(parts)),
  serve('cancel-command', cancelCommandRequest(parts)),
  serve('retry', retryRequest({ ...parts, create: create(parts) })),
  serve('unstick', parts.unstick),
  serve('claim', (asker, request) => parts.claims.claim(asker, request)),
  serve('renew', (asker, request) => parts.claims.renew(asker, request)),
  serve('announce', announce(parts)),
];
