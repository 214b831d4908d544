// The rules of a run's turns: what the reports of its holder and the loss of its lease lead to. Pure; part of run.decider.ts.
// Guarantees: only the holder's fence moves a run; a lost claim is followed by the replay rule, once.
import { accept, reject, unchanged } from '#libs/kernel/decider.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import {
  afterLoss,
  afterTurn,
  asNextTurn,
  closingCommands,
  endOfTurn,
  interruptOf,
  nextTurn,
  waitingWords,
} from './run-commands.policy.ts';
import {
  closed,
  closing,
  isHeld,
  refusalOf,
  type CommandOf,
  type EventOf,
  type Run,
  type RunDecision,
} from './run-state.policy.ts';

export const startTurn = (command: CommandOf<'start-turn'>, run: Run): RunDecision => {
  const { fence, turnId, startedAt } = command;
  // The repeat of a report that came before the end is no news.
  if (run.finishedBy === fence && run.turnId === turnId) return unchanged;
  const refusal = refusalOf(run, command);
  if (refusal !== undefined) return refusal;
  const { runId, sessionId } = run.created;
  if (run.turnId === null) {
    const words = waitingWords(run).map(({ commandId }) => commandId);
    return accept({
      type: 'fleetlog.run.turn-started.v1',
      runId,
      sessionId,
      turnId,
      fence,
      startedAt,
      ...(words.length > 0 && { commandIds: words }),
    });
  }
  if (run.turnId === turnId) return unchanged;
  return reject('RUN_TURN_STARTED', `claim ${fence} of run ${runId} has started turn ${run.turnId} already`, {
    turnId,
    currentTurnId: run.turnId,
  });
};

/** The reason of a cancel that nobody asked the control plane for. */
const ownReason = (result: TurnResult): string =>
  (result.failure?.message ?? 'the runner cancelled the turn').slice(0, 500);

const interruptReason = (reason: string | undefined): string =>
  reason === undefined ? 'interrupted' : `interrupted: ${reason}`.slice(0, 500);

/** What becomes of a run whose claim is lost. */
interface AfterLoss {
  readonly next: 'queued' | 'failed' | 'cancelled';
  /** Another turn than the lost one, which somebody wanted to end. */
  readonly turnCommandId?: string;
}

const nextAfterLoss = (run: Run): AfterLoss => {
  if (run.state === 'cancelling') return { next: 'cancelled' };
  if (interruptOf(run) !== undefined) {
    const further = nextTurn(run);
    return further === undefined
      ? { next: 'cancelled' }
      : { next: 'queued', turnCommandId: further.commandId };
  }
  const hasAttempts = run.claims - run.parkings < run.created.maxAttempts;
  return { next: run.created.replay === 'requeue' && hasAttempts ? 'queued' : 'failed' };
};

/** What a lost claim closes, by what becomes of its run. A turn that is tried again keeps its commands. */
const closedByLoss = (run: Run, { next, turnCommandId }: AfterLoss): ReturnType<typeof closingCommands> => {
  if (next !== 'queued') return closingCommands(run, next);
  return turnCommandId === undefined ? {} : closingCommands(run, 'on');
};

/** True when the turn ended because it was to: somebody interrupted it, and it did not come to its own end first. */
const isInterrupted = (run: Run, { outcome, failure }: TurnResult): boolean =>
  interruptOf(run) !== undefined && (outcome === 'cancelled' || failure?.kind === 'runner-lost');

/** A further turn to do, where the end of this one leaves room for it: what failed is not built upon. */
const furtherTurn = (run: Run, result: TurnResult): string | undefined => {
  const { outcome } = result;
  const goesOn =
    outcome === 'done' || outcome === 'yielded' || outcome === 'blocked' || isInterrupted(run, result);
  return goesOn ? nextTurn(run)?.commandId : undefined;
};

/** How a turn ended that ends its run. */
interface TurnEnd {
  readonly end: {
    readonly runId: string;
    readonly sessionId: string;
    readonly fence: number;
    readonly turnId: string;
    readonly endedAt: number;
    readonly approvalsClosed?: string[];
  };
  readonly result: TurnResult;
}

export const finishTurn = (command: CommandOf<'finish-turn'>, run: Run): RunDecision => {
  const { fence, turnId, result, endedAt, nextCommandId } = command;
  if (run.finishedBy === fence) return unchanged;
  const refusal = refusalOf(run, command);
  if (refusal !== undefined) return refusal;
  const { runId, sessionId } = run.created;
  const end = { runId, sessionId, fence, turnId, endedAt, ...closing(run) };
  const isCancelling = run.state === 'cancelling';
  const turnCommandId = isCancelling ? undefined : furtherTurn(run, result);
  if (turnCommandId !== undefined) {
    const next = { turnCommandId, commandId: nextCommandId };
    const closes = closingCommands(run, 'on');
    return accept({ type: 'fleetlog.run.turn-finished.v1', ...end, ...closes, result, ...next });
  }
  if (isCancelling || result.outcome === 'cancelled' || isInterrupted(run, result))
    return cancelledTurn({ end, result }, run);
  return result.outcome === 'failed' ? failTurn(command, run) : endedTurn({ end, result }, run);
};

/** Asked to cancel: cancelled it is, also when the turn was faster. What it achieved is kept in the result. */
const cancelledTurn = ({ end, result }: TurnEnd, run: Run): RunDecision => {
  const interrupt = isInterrupted(run, result) ? interruptOf(run) : undefined;
  const reason = interrupt === undefined ? ownReason(result) : interruptReason(interrupt.reason);
  return accept({
    type: 'fleetlog.run.cancelled.v1',
    ...end,
    ...closingCommands(run, 'cancelled'),
    reason: run.cancelReason ?? reason,
    result,
  });
};

const endedTurn = ({ end, result }: TurnEnd, run: Run): RunDecision => {
  if (result.outcome === 'blocked') {
    const reason = result.summary || 'the agent did not say why';
    const closes = closingCommands(run, 'failed');
    return accept({ type: 'fleetlog.run.blocked.v1', ...end, ...closes, reason, result });
  }
  // A turn that yielded ended well: what is still to do is for whoever asked, who reads it in the result.
  const closes = closingCommands(run, 'completed');
  return accept({ type: 'fleetlog.run.completed.v1', ...end, ...closes, result });
};

/** A turn that goes on after an answer is tried this often where its program cannot be started, the longer apart the later. */
const RESUME_ATTEMPTS = 5;
const RESUME_AGAIN_MS = 1000;

/** When a resume that could not begin is tried again, in ms; undefined: it is none, or was tried often enough. */
const resumeAgainMs = (run: Run): number | undefined => {
  const attempts = run.claims - run.parkings;
  return run.resume.length > 0 && attempts < RESUME_ATTEMPTS && interruptOf(run) === undefined
    ? RESUME_AGAIN_MS * 2 ** (attempts - 1)
    : undefined;
};

/** The claim is over by the runner's own word, and the turn is tried again. */
const again = (
  { fence, endedAt, nextCommandId }: CommandOf<'finish-turn'>,
  run: Run,
  reason: string,
): EventOf<'fleetlog.run.lease-expired.v1'> => ({
  type: 'fleetlog.run.lease-expired.v1',
  runId: run.created.runId,
  sessionId: run.created.sessionId,
  fence,
  runnerId: run.runnerId ?? '',
  next: 'queued',
  commandId: nextCommandId,
  expiredAt: endedAt,
  reason: reason.slice(0, 500),
  ...closing(run),
});

/** Why it failed. Where an earlier claim of the run has begun a turn, something is done: not everybody may begin it anew. */
const failureOf = ({ failure, summary }: TurnResult, run: Run): NonNullable<TurnResult['failure']> => {
  if (failure === null)
    return { kind: 'provider-failed', message: summary || 'the turn failed without saying why' };
  if (failure.unfit !== true || run.startedTurnId === null || run.claims === 1) return failure;
  const { unfit: _unfit, ...rest } = failure;
  return rest;
};

const failTurn = (command: CommandOf<'finish-turn'>, run: Run): RunDecision => {
  const { fence, turnId, result, endedAt } = command;
  const { runId, sessionId } = run.created;
  const failure = failureOf(result, run);
  // Whoever allowed the call is not to be told that it came to nothing because a program was not there for a moment.
  const retryAfterMs = failure.kind === 'infra-failed' ? resumeAgainMs(run) : undefined;
  if (retryAfterMs !== undefined) return accept({ ...again(command, run, failure.message), retryAfterMs });
  // A runner that says it was lost is as good as one that is not heard of: the replay rule decides.
  if (failure.kind === 'runner-lost' && nextAfterLoss(run).next === 'queued')
    return accept(again(command, run, failure.message));
  const end = { runId, sessionId, fence, turnId, endedAt, ...closing(run) };
  const closes = closingCommands(run, 'failed');
  return accept({ type: 'fleetlog.run.failed.v1', ...end, ...closes, failure, result });
};

export const expireLease = (command: CommandOf<'expire-lease'>, run: Run, now: number): RunDecision => {
  const { fence, commandId } = command;
  if (fence > run.claims)
    return reject('RUN_NOT_CLAIMED', `run ${run.created.runId} has no claim ${fence}`, { fence });
  // Another observer was faster, or the claim is over: the loss of that lease needs nothing more.
  if (fence < run.claims || !isHeld(run)) return unchanged;
  const after = nextAfterLoss(run);
  return accept({
    type: 'fleetlog.run.lease-expired.v1',
    runId: run.created.runId,
    sessionId: run.created.sessionId,
    fence,
    runnerId: run.runnerId ?? '',
    ...after,
    commandId: after.next === 'queued' ? commandId : null,
    expiredAt: now,
    ...closing(run),
    ...closedByLoss(run, after),
  });
};

/** After a turn that is followed by another one: as a queued run whose attempts are not used up. */
export const evolveTurnFinished = (
  run: Run,
  event: EventOf<'fleetlog.run.turn-finished.v1'>,
): Partial<Run> => ({
  ...closed(run),
  ...anotherTurn(run, event.turnCommandId),
  commands: asNextTurn(
    afterTurn(run, endOfTurn(event.result.outcome), event.commandsClosed),
    event.turnCommandId,
  ),
  state: 'queued',
  commandId: event.commandId,
  runnerId: null,
  turnId: event.turnId,
  finishedBy: event.fence,
});

const anotherTurn = (
  { claims }: Run,
  turnCommandId: string,
): Pick<Run, 'turnCommandId' | 'parkings' | 'resume'> => ({
  turnCommandId,
  parkings: claims,
  resume: [],
});

/** After a lost claim that leaves the run queued: the same turn again, or the next one after an interrupt. */
export const evolveRequeued = (
  run: Run,
  { turnCommandId, commandsClosed }: EventOf<'fleetlog.run.lease-expired.v1'>,
): Partial<Run> => {
  if (turnCommandId === undefined) return { commands: afterLoss(run) };
  const commands = asNextTurn(afterTurn(run, 'cancelled', commandsClosed), turnCommandId);
  return { ...anotherTurn(run, turnCommandId), commands };
};
