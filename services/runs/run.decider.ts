// The rules of a run: who may claim it, what a report changes, what a lost lease and a cancel lead to. Pure.
// Guarantees: at most one terminal event; fences strictly increase by one; only the holder's fence moves a run; terminal
// absorbs; whatever ends a claim or the run closes its open questions and commands in the same append. Does not know leases in time (its owner says when one is lost) and does not start anything (see instructions.ts).
//
// queued ─claim→ claimed ─start-turn→ running ─finish-turn→ completed | blocked | failed | cancelled
//   ↑               └────────────── finish-turn ───────────────────↗      (the started report may be missing)
//   └─ lease-expired(queued) ─ claimed | running ─ lease-expired(failed) → failed
// queued ─cancel→ cancelled;  claimed | running ─cancel→ cancelling ─finish-turn | lease-expired(cancelled)→ cancelled
// claimed | running ─ask-approval→ waiting: run.approvals.decider.ts;  commands: run.commands.decider.ts
// running ─finish-turn, and a further turn is to be done→ queued
import { accept, reject, unchanged, type Decider } from '#libs/kernel/decider.ts';
import type { RunCommand, RunCreated, RunEvent } from '#streams/run.ts';
import {
  closed,
  closing,
  endedRefusal,
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
  evolveCounted,
  expireApproval,
  withdrawApproval,
} from './run.approvals.decider.ts';
import {
  acknowledgeCommand,
  cancelCommand,
  createCommand,
  evolveCommandAcknowledged,
  evolveCommandCancelled,
  evolveCommandCreated,
  evolveCommandFinished,
  finishCommand,
} from './run.commands.decider.ts';
import { afterRun, closingCommands, endOfTurn, withCommand } from './run-commands.policy.ts';
import {
  evolveRequeued,
  evolveTurnFinished,
  expireLease,
  finishTurn,
  startTurn,
} from './run.turns.decider.ts';

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
  const isOther = commandId !== undefined && commandId !== run.commandId;
  // Nor does one of an earlier turn, or of a runner that says none, know what the present turn is.
  const isFirstTurn = run.turnCommandId === run.created.commandId;
  if (isFirstTurn ? run.resume.length > 0 && isOther : commandId !== run.commandId)
    return reject('RUN_INSTRUCTION_OLD', `run ${runId} goes on with ${run.commandId}`, { commandId });
  return undefined;
};

const claim = (command: CommandOf<'claim'>, run: Run, now: number): RunDecision => {
  const { agent, runnerId, commandId, leasedFence } = command;
  const foreign = foreignTo(run, agent);
  if (foreign !== undefined) return { kind: 'rejected', rejection: foreign };
  if (isEnded(run.state)) return endedRefusal(run);
  const refusal = notClaimable(run, commandId);
  if (refusal !== undefined) return refusal;
  const { runId, sessionId, leaseMs } = run.created;
  const fence = run.claims + 1;
  if (leasedFence !== undefined && leasedFence !== fence)
    return reject('RUN_FENCED', `the claim of run ${runId} would be its ${fence}th, and has no lease`, {
      currentFence: run.claims,
    });
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
      ...closingCommands(run, 'cancelled'),
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
  'create-command': createCommand,
  'cancel-command': cancelCommand,
  'acknowledge-command': acknowledgeCommand,
  'finish-command': finishCommand,
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
  'fleetlog.run.claimed.v1': ({ commands, turnCommandId }, { fence, runnerId, claimedAt }) => ({
    state: 'claimed',
    claimedAt,
    commands: withCommand(commands, turnCommandId, { state: 'acknowledged', fence }),
    claims: fence,
    runnerId,
    turnId: null,
  }),
  'fleetlog.run.turn-started.v1': (run, { turnId, fence, commandIds = [] }) => ({
    commands: commandIds.reduce((commands, id) => withCommand(commands, id, { fence }), run.commands),
    state: run.state === 'claimed' ? 'running' : run.state,
    turnId,
    startedTurnId: turnId,
  }),
  'fleetlog.run.lease-expired.v1': (run, event) => ({
    ...closed(run),
    ...(event.next === 'queued'
      ? evolveRequeued(run, event)
      : { commands: afterRun(run, event.next, event.commandsClosed) }),
    state: event.next,
    failureKind: event.next === 'failed' ? 'runner-lost' : null,
    runnerId: null,
    commandId: event.commandId ?? run.commandId,
    // With a reason it was the runner's own report that ended the claim: its repeat is no news.
    finishedBy: event.reason === undefined ? run.finishedBy : event.fence,
  }),
  'fleetlog.run.cancel-requested.v1': (run, { reason }) => ({
    ...closed(run),
    state: 'cancelling',
    cancelReason: reason,
  }),
  'fleetlog.run.completed.v1': (run, event) => finished(run, 'completed', event),
  'fleetlog.run.blocked.v1': (run, event) => finished(run, 'blocked', event),
  'fleetlog.run.failed.v1': (run, event) => ({
    ...finished(run, 'failed', event),
    failureKind: event.failure.kind,
  }),
  'fleetlog.run.cancelled.v1': (run, event) => ({
    ...finished(run, 'cancelled', event),
    cancelReason: event.reason,
  }),
  'fleetlog.run.approval-asked.v1': evolveAsked,
  'fleetlog.run.approval-counted.v1': evolveCounted,
  'fleetlog.run.approval-answered.v1': evolveAnswered,
  'fleetlog.run.turn-finished.v1': evolveTurnFinished,
  'fleetlog.run.command-created.v1': evolveCommandCreated,
  'fleetlog.run.command-acknowledged.v1': evolveCommandAcknowledged,
  'fleetlog.run.command-finished.v1': evolveCommandFinished,
  'fleetlog.run.command-cancelled.v1': evolveCommandCancelled,
};

type Ending = EventOf<`fleetlog.run.${'completed' | 'blocked' | 'failed' | 'cancelled'}.v1`>;

const finished = (
  run: Run,
  state: 'completed' | 'blocked' | 'failed' | 'cancelled',
  { turnId, fence, commandsClosed }: Ending,
): Partial<Run> => {
  const commands = afterRun(run, endOfTurn(state === 'completed' ? 'done' : state), commandsClosed);
  return { ...closed(run), commands, state, runnerId: null, turnId, finishedBy: fence, resume: [] };
};

const evolve = (run: RunState, event: RunEvent): RunState => {
  if (event.type !== 'fleetlog.run.created.v1') {
    if (run === undefined) return undefined;
    const handler = EVOLVE[event.type] as (run: Run, event: Change) => Partial<Run>;
    return { ...run, ...handler(run, event) };
  }
  return run ?? newRun(event);
};

const newRun = ({ type: _type, ...created }: RunCreated): Run => {
  const { commandId, requestHash: hash } = created;
  const nobody = {
    claims: 0,
    parkings: 0,
    runnerId: null,
    claimedAt: null,
    turnId: null,
    startedTurnId: null,
    cancelReason: null,
    failureKind: null,
    finishedBy: null,
  };
  const nothing = { open: [], settled: {}, resume: [] };
  const first = { commandId, seq: 1, type: 'turn', key: null, hash, text: null, fence: null } as const;
  const commands = [{ ...first, state: 'pending', isDeferred: false } as const];
  return { state: 'queued', created, commandId, turnCommandId: commandId, commands, ...nobody, ...nothing };
};

/** The decider of the run aggregate; its contract is streams/run.ts. */
export const runDecider: Decider<RunCommand, RunEvent, RunState, RunRejection> = {
  initial: undefined,
  decide,
  evolve,
};
