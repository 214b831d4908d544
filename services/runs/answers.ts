// Answers of people to the questions of a run: decided by the rules, once; the repeat of an answer gives its first result again; one
// that comes to nothing is on record among the reports of the run. Does not tell runners (instructions.ts).
import { isDeepStrictEqual } from 'node:util';
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { RunRequestOf, RunResultOf } from '#streams/run-requests.ts';
import type { RunEvent } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { ApprovalDeadlines } from './approval-deadlines.ts';
import { ok, refused } from '#libs/service/request-answer.ts';
import type { RunAnswer } from './claims.ts';
import type { Run } from './run-state.policy.ts';
import { attemptCommandId, hashOf, SOURCE, type RunLog } from './run-log.ts';

type Request = RunRequestOf<'answer-approval'>;
type Answered = Extract<
  RunEvent,
  { readonly type: 'fleetlog.run.approval-answered.v1' | 'fleetlog.run.approval-counted.v1' }
>;
const isAnswer = (event: RunEvent): event is Answered =>
  event.type === 'fleetlog.run.approval-answered.v1' || event.type === 'fleetlog.run.approval-counted.v1';

interface Parts {
  readonly runLog: RunLog;
  readonly deadlines: ApprovalDeadlines;
  /** The log of EVENTS. */
  readonly events: EventLog;
  readonly redactor: Redactor;
  readonly clock: Clock;
}

/** Refusals that somebody may want to know of later: who else wanted what. */
const RECORDED: ReadonlySet<string> = new Set<RejectionCode>([
  'APPROVAL_ANSWERED',
  'APPROVAL_CLOSED',
  'APPROVAL_OTHER_CALL',
  'APPROVAL_IDENTITY_NEEDED',
  'APPROVAL_OWN_WORK',
  'APPROVAL_ROLE_MISSING',
]);

const record = async (
  { events, clock }: Parts,
  {
    boundary,
    request,
    run,
    id,
  }: { readonly boundary: Boundary; readonly request: Request; readonly run: Run; readonly id: string },
  { code, message }: Rejection,
): Promise<void> => {
  const { runId, approvalId, decision, actor } = request;
  const { sessionId, agent } = run.created;
  const data = { runId, sessionId, approvalId, decision, by: actor, code, reason: message };
  // No expectation: refused answers do not depend on one another.
  await events.append(
    encodeReport('answer-refused', data, {
      boundary,
      agent,
      id: `${id}.refused`,
      source: SOURCE,
      timeMs: clock.now(),
      actor,
      correlation: runId,
    }),
  );
};

const isSame = (event: Answered, { decision, input, message, actor }: Request): boolean => {
  if (event.by !== actor || event.message !== message) return false;
  // What was counted was an approval.
  if (event.type === 'fleetlog.run.approval-counted.v1') return decision === 'approve';
  return event.decision === decision && isDeepStrictEqual(event.input, input);
};

/** The operation `answer-approval`. Repeatable: the same answer id is one answer. */
export const answerApprovalRequest =
  (parts: Parts) =>
  async (boundary: Boundary, asked: Request): Promise<RunAnswer<RunResultOf<'answer-approval'>>> => {
    // What goes on from here is looked at again by whoever reads the log: no secret gets into it.
    const request = parts.redactor.value(asked).value as Request;
    const { runId, approvalId, answerId, decision, digest, input, message, roles, isKnown, actor } = request;
    const target = { boundary, runId, actor };
    const { state: run } = await parts.runLog.load(target);
    if (run === undefined) return refused(rejection('RUN_UNKNOWN', 'no run has this id'));
    const id = `${runId}.answer.${hashOf([approvalId, answerId]).slice(0, 32)}`;
    const nextCommandId = attemptCommandId(runId, run.claims + 1);
    const command = {
      kind: 'answer-approval',
      approvalId,
      digest,
      decision,
      input,
      message,
      by: actor,
      roles,
      isKnown,
      nextCommandId,
    } as const;
    const outcome = await parts.runLog.handle(target, command, { id });
    if (outcome.kind === 'rejected') {
      if (RECORDED.has(outcome.rejection.code))
        await record(parts, { boundary, request, run, id }, outcome.rejection);
      return refused(outcome.rejection);
    }
    if (outcome.kind === 'unchanged' || !isAnswer(outcome.event))
      return refused(rejection('APPROVAL_CLOSED', `approval ${approvalId} waits no more`));
    if (outcome.repeated && !isSame(outcome.event, request))
      return refused(
        rejection('RUN_CONFLICTING_REQUEST', `the answer ${answerId} was given before, and was another one`),
      );
    const given = { runId, approvalId, seq: outcome.seq, decision, repeated: outcome.repeated };
    if (outcome.event.type === 'fleetlog.run.approval-counted.v1')
      return ok({ ...given, stillNeeded: outcome.event.stillNeeded });
    await parts.deadlines.remove({ boundary, runId, approvalId });
    return ok({ ...given, stillNeeded: 0 });
  };
