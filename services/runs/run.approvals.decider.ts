// The rules of a run's approvals: who may ask, which answer counts, what becomes of the run. Pure; part of run.decider.ts.
// Guarantees: the first answer counts and every later one is refused; where several must approve, each counts once and one rejection ends it; an answer is about one exact call; without an answer in time the
// call is refused; whatever ends the claim of a held question, or the run, closes it. Does not watch the time (its owner says when
// it is over) and tells nobody (see instructions.ts).
//
// claimed | running ─asked(held)→ waiting, held ─answered→ running          (cancel: cancelling; lost lease: the replay rule)
// claimed | running ─asked(parked)→ waiting, nobody's ─answered→ queued     (cancel: cancelled at once)
import { accept, reject, unchanged } from '#libs/kernel/decider.ts';
import { APPROVAL_WAIT_LIMIT_MS, OPEN_APPROVALS_LIMIT, type SettledApproval } from '#streams/approvals.ts';
import { needsOf, notCounting, stillNeeded } from './approval-needs.policy.ts';
import { afterParking, closingCommands } from './run-commands.policy.ts';
import {
  closed,
  closing,
  refusalOf,
  type CommandOf,
  type EventOf,
  type OpenApproval,
  type Run,
  type RunDecision,
} from './run-state.policy.ts';

type Asked = EventOf<'fleetlog.run.approval-asked.v1'>;
type Counted = EventOf<'fleetlog.run.approval-counted.v1'>;
type Answered = EventOf<'fleetlog.run.approval-answered.v1'>;

/** Both times are the runner's; only how long it wants to wait counts here, so its clock may be wrong. */
const waitOf = ({ call, askedAt }: CommandOf<'ask-approval'>): number =>
  Math.min(Math.max(0, call.expiresAt - askedAt), APPROVAL_WAIT_LIMIT_MS);

/** A question of a run that is being cancelled: nobody needs to answer it. */
const askedTooLate = ({ call, turnId, fence, askedAt }: CommandOf<'ask-approval'>, run: Run): RunDecision => {
  const { runId, sessionId } = run.created;
  if (call.mode === 'held') return reject('RUN_CANCELLED', `run ${runId} is being cancelled`);
  const reason = run.cancelReason ?? 'cancelled';
  const end = { runId, sessionId, fence, turnId, endedAt: askedAt, ...closing(run) };
  const closes = closingCommands(run, 'cancelled');
  return accept({ type: 'fleetlog.run.cancelled.v1', ...end, ...closes, reason, result: null });
};

export const askApproval = (command: CommandOf<'ask-approval'>, run: Run, now: number): RunDecision => {
  const { call, fence, turnId } = command;
  const isKnown = run.settled[call.approvalId] !== undefined || openOf(run, call.approvalId) !== undefined;
  // The repeat of a parked one that ended the run, because it was being cancelled.
  const hasEnded = call.mode === 'parked' && run.finishedBy === fence && run.turnId === turnId;
  if (isKnown || hasEnded) return unchanged;
  const refusal = refusalOf(run, command);
  if (refusal !== undefined) return refusal;
  const { runId, sessionId } = run.created;
  if (run.turnId !== null && run.turnId !== turnId)
    return reject('RUN_TURN_STARTED', `claim ${fence} of run ${runId} does turn ${run.turnId}`, { turnId });
  if (run.state === 'cancelling') return askedTooLate(command, run);
  if (call.mode === 'held' && run.open.length >= OPEN_APPROVALS_LIMIT)
    return reject('APPROVAL_TOO_MANY', `run ${runId} has ${run.open.length} open questions`);
  const { rule, ...asked } = call;
  const needs = needsOf(run, rule);
  return accept({
    type: 'fleetlog.run.approval-asked.v1',
    runId,
    sessionId,
    turnId,
    fence,
    ...asked,
    ...(needs !== undefined && { needs }),
    expiresAt: now + waitOf(command),
    askedAt: command.askedAt,
    ...(call.mode === 'parked' && closing(run)),
  });
};

const openOf = (run: Run, approvalId: string): OpenApproval | undefined =>
  run.open.find((approval) => approval.approvalId === approvalId);

/** Why there is nothing to answer. */
const notOpen = (run: Run, approvalId: string): RunDecision => {
  const { runId } = run.created;
  const settlement = run.settled[approvalId];
  if (settlement === undefined)
    return reject('APPROVAL_UNKNOWN', `run ${runId} has no approval ${approvalId}`);
  const { decision, by } = settlement;
  const code =
    decision === 'approve' || decision === 'reject' || decision === 'edit'
      ? 'APPROVAL_ANSWERED'
      : 'APPROVAL_CLOSED';
  const what =
    code === 'APPROVAL_ANSWERED'
      ? `was answered before by ${by} (${decision})`
      : `waits no more (${decision})`;
  return reject(code, `approval ${approvalId} of run ${runId} ${what}`, { decision, by, state: run.state });
};

type Settling = Pick<Answered, 'decision' | 'input' | 'message' | 'by' | 'approvedBy'>;

const settle = (
  run: Run,
  open: OpenApproval,
  {
    settling,
    nextCommandId,
    now,
  }: { readonly settling: Settling; readonly nextCommandId: string | null; readonly now: number },
): RunDecision => {
  const { runId, sessionId } = run.created;
  const { approvalId, callId, tool, digest, fence, mode } = open;
  return accept({
    type: 'fleetlog.run.approval-answered.v1',
    runId,
    sessionId,
    fence,
    approvalId,
    callId,
    tool,
    digest,
    ...settling,
    commandId: mode === 'parked' ? nextCommandId : null,
    answeredAt: now,
  });
};

/** One of several approvals. */
const count = (
  run: Run,
  open: OpenApproval,
  { command, now }: { readonly command: CommandOf<'answer-approval'>; readonly now: number },
): RunDecision => {
  const { runId, sessionId } = run.created;
  const { approvalId, callId, digest, fence, approvedBy } = open;
  const { by, message } = command;
  return accept({
    type: 'fleetlog.run.approval-counted.v1',
    runId,
    sessionId,
    fence,
    approvalId,
    callId,
    digest,
    by,
    ...(message !== undefined && { message }),
    stillNeeded: stillNeeded({ ...open, approvedBy: [...approvedBy, by] }),
    countedAt: now,
  });
};

export const answerApproval = (command: CommandOf<'answer-approval'>, run: Run, now: number): RunDecision => {
  const { approvalId, digest, decision, input, message, by, nextCommandId } = command;
  const open = openOf(run, approvalId);
  if (open === undefined) return notOpen(run, approvalId);
  if (digest !== undefined && digest !== open.digest)
    return reject('APPROVAL_OTHER_CALL', `approval ${approvalId} is about the call ${open.digest}`, {
      digest: open.digest,
    });
  if (now >= open.expiresAt)
    return reject('APPROVAL_CLOSED', `the time to answer ${approvalId} is over; the call counts as refused`, {
      decision: 'expired',
      state: run.state,
    });
  const refusal = notCounting(open, command);
  if (refusal !== undefined) return refusal;
  const approvedBy = decision === 'reject' ? open.approvedBy : [...open.approvedBy, by];
  if (decision === 'approve' && stillNeeded({ ...open, approvedBy }) > 0)
    return count(run, open, { command, now });
  const said = {
    decision,
    by,
    ...(open.needs !== undefined && { approvedBy: [...approvedBy] }),
    ...(decision === 'edit' && { input }),
    ...(message !== undefined && { message }),
  };
  return settle(run, open, { settling: said, nextCommandId, now });
};

export const expireApproval = (command: CommandOf<'expire-approval'>, run: Run, now: number): RunDecision => {
  const { approvalId, nextCommandId } = command;
  const open = openOf(run, approvalId);
  if (open === undefined) return run.settled[approvalId] === undefined ? notOpen(run, approvalId) : unchanged;
  if (now < open.expiresAt) return unchanged;
  const message = 'nobody answered in time, so it is not allowed';
  const settling = { decision: 'expired', message, by: 'service:runs' } as const;
  return settle(run, open, { settling, nextCommandId, now });
};

export const withdrawApproval = (
  command: CommandOf<'withdraw-approval'>,
  run: Run,
  now: number,
): RunDecision => {
  const { approvalId, agent, reason } = command;
  const open = openOf(run, approvalId);
  if (open === undefined && run.settled[approvalId] !== undefined) return unchanged;
  const refusal = refusalOf(run, command);
  if (refusal !== undefined) return refusal;
  if (open === undefined) return notOpen(run, approvalId);
  const settling = { decision: 'withdrawn', message: reason, by: `agent:${agent}` } as const;
  return settle(run, open, { settling, nextCommandId: null, now });
};

/** After {@link Asked}. */
export const evolveAsked = (run: Run, event: Asked): Partial<Run> => {
  const { approvalId, callId, tool, digest, mode, fence, expiresAt, turnId, needs } = event;
  const call = { approvalId, callId, tool, digest, mode, fence, expiresAt };
  const open = { ...call, approvedBy: [], ...(needs !== undefined && { needs }) };
  if (mode === 'held')
    return {
      turnId,
      open: [...run.open, open],
      state: run.state === 'cancelling' ? 'cancelling' : 'waiting',
    };
  const { settled } = closed(run);
  const parkings = run.parkings + 1;
  return {
    state: 'waiting',
    runnerId: null,
    turnId,
    open: [open],
    settled,
    finishedBy: fence,
    parkings,
    resume: [],
    commands: afterParking(run),
  };
};

/** After {@link Counted}. */
export const evolveCounted = (run: Run, { approvalId, by }: Counted): Partial<Run> => ({
  open: run.open.map((open) =>
    open.approvalId === approvalId ? { ...open, approvedBy: [...open.approvedBy, by] } : open,
  ),
});

/** After {@link Answered}. */
export const evolveAnswered = (run: Run, event: Answered): Partial<Run> => {
  const { approvalId, decision, by, commandId } = event;
  const open = run.open.filter((approval) => approval.approvalId !== approvalId);
  const settled = { ...run.settled, [approvalId]: { decision, by } };
  if (commandId !== null) return { open, settled, state: 'queued', commandId, resume: [answerOf(event)] };
  return { open, settled, state: run.state === 'waiting' && open.length === 0 ? 'running' : run.state };
};

/** What a runner is told of an answer. */
export const answerOf = ({
  approvalId,
  callId,
  tool,
  digest,
  decision,
  input,
  message,
}: Answered): SettledApproval => ({
  approvalId,
  callId,
  tool,
  digest,
  decision,
  ...(decision === 'edit' && { input }),
  ...(message !== undefined && { message }),
});
