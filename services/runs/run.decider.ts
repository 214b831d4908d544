// The rules of a run: who may claim it, what a report changes, what a lost lease and a cancel lead to. Pure.
// Guarantees: at most one terminal event; fences strictly increase by one; only the holder's fence moves a run; terminal
// absorbs; whatever ends a claim or the run closes its open questions in the same append. Does not know leases in time (its owner says when one is lost) and does not start anything (see instructions.ts).
//
// queued ─claim→ claimed ─start-turn→ running ─finish-turn→ completed | blocked | failed | cancelled
//   ↑               └────────────── finish-turn ───────────────────↗      (the started report may be missing)
//   └─ lease-expired(queued) ─ claimed | running ─ lease-expired(failed) → failed
// queued ─cancel→ cancelled;  claimed | running ─cancel→ cancelling ─finish-turn | lease-expired(cancelled)→ cancelled
// claimed | running ─ask-approval→ waiting: run.approvals.decider.ts
import { accept, reject, unchanged, type Decider } from '#libs/kernel/decider.ts';
import type { RunCommand, RunCreated, RunEvent, RunStateName } from '#streams/run.ts';
import {
  closed,
  closing,
  foreignTo,
  isEnded,
  isHeld,
  type CommandOf,
  type EventOf,
  type Run,
  type RunDecision,
  type RunRejection,
  type RunState,
} from './run-state.policy.ts';
import {
  answerApproval,
  askApproval,
  evolveAnswered,
  evolveAsked,
  expireApproval,
  withdrawApproval,
} from './run.approvals.decider.ts';
import { expireLease, finishTurn, startTurn } from './run.turns.decider.ts';

const ended = (run: Run): RunDecision =>
  run.state === 'cancelled'
    ? reject('RUN_CANCELLED', `run ${run.created.runId} was cancelled`)
    : reject('RUN_ENDED', `run ${run.created.runId} has ended (${run.state})`);

const create = ({ data }: CommandOf<'create'>, run: RunState, now: number): RunDecision => {
  if (run === undefined) return accept({ ...data, type: 'fleetlog.run.created.v1', createdAt: now });
  if (run.created.requestHash === data.requestHash) return unchanged;
  return reject('RUN_CONFLICTING_REQUEST', `run ${data.runId} was created by another request`, {
    runId: data.runId,
  });
};

/** Why a run that nobody holds cannot be claimed; undefined when it can. */
const notClaimable = (run: Run, commandId: string | undefined): RunDecision | undefined => {
  const { runId } = run.created;
  if (isHeld(run))
    return reject('RUN_CLAIMED', `run ${runId} is held by ${run.runnerId}`, {
      runnerId: run.runnerId,
      fence: run.claims,
    });
  if (run.state === 'waiting')
    return reject('RUN_WAITING', `run ${runId} waits for an answer to an approval`);
  // An earlier instruction that comes again does not know the answers: it would begin the work anew.
  if (run.resume.length > 0 && commandId !== undefined && commandId !== run.commandId)
    return reject('RUN_INSTRUCTION_OLD', `run ${runId} goes on with ${run.commandId}`, { commandId });
  return undefined;
};

const claim = ({ agent, runnerId, commandId }: CommandOf<'claim'>, run: Run, now: number): RunDecision => {
  const foreign = foreignTo(run, agent);
  if (foreign !== undefined) return { kind: 'rejected', rejection: foreign };
  if (isEnded(run.state)) return ended(run);
  const refusal = notClaimable(run, commandId);
  if (refusal !== undefined) return refusal;
  const { runId, sessionId, leaseMs } = run.created;
  const fence = run.claims + 1;
  return accept({
    type: 'fleetlog.run.claimed.v1',
    runId,
    sessionId,
    runnerId,
    fence,
    leaseMs,
    claimedAt: now,
  });
};

const cancel = ({ reason }: CommandOf<'cancel'>, run: Run, now: number): RunDecision => {
  if (isEnded(run.state) || run.state === 'cancelling') return unchanged;
  const { runId, sessionId } = run.created;
  // Queued, or waiting for an answer that nothing waits for but the run itself.
  if (!isHeld(run))
    return accept({
      type: 'fleetlog.run.cancelled.v1',
      runId,
      sessionId,
      fence: null,
      turnId: null,
      endedAt: now,
      reason,
      result: null,
      ...closing(run),
    });
  const fence = run.claims;
  return accept({
    type: 'fleetlog.run.cancel-requested.v1',
    runId,
    sessionId,
    reason,
    fence,
    requestedAt: now,
    ...closing(run),
  });
};

type Decide<Kind extends RunCommand['kind']> = (
  command: CommandOf<Kind>,
  run: Run,
  now: number,
) => RunDecision;

const DECIDE: { readonly [Kind in Exclude<RunCommand['kind'], 'create'>]: Decide<Kind> } = {
  claim,
  'start-turn': startTurn,
  'finish-turn': finishTurn,
  'expire-lease': expireLease,
  cancel,
  'ask-approval': askApproval,
  'answer-approval': answerApproval,
  'expire-approval': expireApproval,
  'withdraw-approval': withdrawApproval,
};

const decide = (command: RunCommand, run: RunState, { now }: { readonly now: number }): RunDecision => {
  if (command.kind === 'create') return create(command, run, now);
  if (run === undefined) return reject('RUN_UNKNOWN', 'no run has this id');
  // The table has the handler of each kind; the compiler cannot follow the pairing through a union.
  const handler = DECIDE[command.kind] as Decide<RunCommand['kind']>;
  return handler(command, run, now);
};

type Change = Exclude<RunEvent, RunCreated>;

const EVOLVE: { readonly [Type in Change['type']]: (run: Run, event: EventOf<Type>) => Partial<Run> } = {
  'fleetlog.run.claimed.v1': (_run, { fence, runnerId }) => ({
    state: 'claimed',
    claims: fence,
    runnerId,
    turnId: null,
  }),
  'fleetlog.run.turn-started.v1': (run, { turnId }) => ({
    state: run.state === 'claimed' ? 'running' : run.state,
    turnId,
    startedTurnId: turnId,
  }),
  'fleetlog.run.lease-expired.v1': (run, { next, reason, fence, commandId }) => ({
    ...closed(run),
    state: next,
    runnerId: null,
    commandId: commandId ?? run.commandId,
    // With a reason it was the runner's own report that ended the claim: its repeat is no news.
    finishedBy: reason === undefined ? run.finishedBy : fence,
  }),
  'fleetlog.run.cancel-requested.v1': (run, { reason }) => ({
    ...closed(run),
    state: 'cancelling',
    cancelReason: reason,
  }),
  'fleetlog.run.completed.v1': (run, event) => finished(run, 'completed', event),
  'fleetlog.run.blocked.v1': (run, event) => finished(run, 'blocked', event),
  'fleetlog.run.failed.v1': (run, event) => finished(run, 'failed', event),
  'fleetlog.run.cancelled.v1': (run, event) => ({
    ...finished(run, 'cancelled', event),
    cancelReason: event.reason,
  }),
  'fleetlog.run.approval-asked.v1': evolveAsked,
  'fleetlog.run.approval-answered.v1': evolveAnswered,
};

const finished = (
  run: Run,
  state: RunStateName,
  { turnId, fence }: { readonly turnId: string | null; readonly fence: number | null },
): Partial<Run> => ({ ...closed(run), state, runnerId: null, turnId, finishedBy: fence, resume: [] });

const evolve = (run: RunState, event: RunEvent): RunState => {
  if (event.type !== 'fleetlog.run.created.v1') {
    if (run === undefined) return undefined;
    const handler = EVOLVE[event.type] as (run: Run, event: Change) => Partial<Run>;
    return { ...run, ...handler(run, event) };
  }
  const { type: _type, ...created } = event;
  const nobody = {
    claims: 0,
    parkings: 0,
    runnerId: null,
    turnId: null,
    startedTurnId: null,
    cancelReason: null,
    finishedBy: null,
  };
  const nothing = { open: [], settled: {}, resume: [] };
  return run ?? { state: 'queued', created, commandId: created.commandId, ...nobody, ...nothing };
};

/** The decider of the run aggregate; its contract is streams/run.ts. */
export const runDecider: Decider<RunCommand, RunEvent, RunState, RunRejection> = {
  initial: undefined,
  decide,
  evolve,
};
