// The rules of a run's turns: what the reports of its holder and the loss of its lease lead to. Pure; part of run.decider.ts.
// Guarantees: only the holder's fence moves a run; a lost claim is followed by the replay rule, once.
import { accept, reject, unchanged } from '#libs/kernel/decider.ts';
import type { TurnResult } from '#streams/run.ts';
import {
  closing,
  isHeld,
  refusalOf,
  type CommandOf,
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
  if (run.turnId === null)
    return accept({ type: 'fleetlog.run.turn-started.v1', runId, sessionId, turnId, fence, startedAt });
  if (run.turnId === turnId) return unchanged;
  return reject('RUN_TURN_STARTED', `claim ${fence} of run ${runId} has started turn ${run.turnId} already`, {
    turnId,
    currentTurnId: run.turnId,
  });
};

/** The reason of a cancel that nobody asked the control plane for. */
const ownReason = (result: TurnResult): string =>
  (result.failure?.message ?? 'the runner cancelled the turn').slice(0, 500);

const nextAfterLoss = (run: Run): 'queued' | 'failed' | 'cancelled' => {
  if (run.state === 'cancelling') return 'cancelled';
  return run.created.replay === 'requeue' && run.claims - run.parkings < run.created.maxAttempts
    ? 'queued'
    : 'failed';
};

export const finishTurn = (command: CommandOf<'finish-turn'>, run: Run): RunDecision => {
  const { fence, turnId, result, endedAt } = command;
  if (run.finishedBy === fence) return unchanged;
  const refusal = refusalOf(run, command);
  if (refusal !== undefined) return refusal;
  const { runId, sessionId } = run.created;
  const end = { runId, sessionId, fence, turnId, endedAt, ...closing(run) };
  // Asked to cancel: cancelled it is, also when the turn was faster. What it achieved is kept in the result.
  if (run.state === 'cancelling' || result.outcome === 'cancelled')
    return accept({
      type: 'fleetlog.run.cancelled.v1',
      ...end,
      reason: run.cancelReason ?? ownReason(result),
      result,
    });
  // A turn that yielded ended well: what is still to do is for whoever asked, who reads it in the result.
  if (result.outcome === 'done' || result.outcome === 'yielded')
    return accept({ type: 'fleetlog.run.completed.v1', ...end, result });
  if (result.outcome === 'blocked') {
    const reason = result.summary || 'the agent did not say why';
    return accept({ type: 'fleetlog.run.blocked.v1', ...end, reason, result });
  }
  return failTurn(command, run);
};

const failTurn = (command: CommandOf<'finish-turn'>, run: Run): RunDecision => {
  const { fence, turnId, result, endedAt } = command;
  const { runId, sessionId } = run.created;
  const end = { runId, sessionId, fence, turnId, endedAt, ...closing(run) };
  const failure = result.failure ?? {
    kind: 'provider-failed',
    message: result.summary || 'the turn failed without saying why',
  };
  // A runner that says it was lost is as good as one that is not heard of: the replay rule decides.
  if (failure.kind === 'runner-lost' && nextAfterLoss(run) === 'queued')
    return accept({
      type: 'fleetlog.run.lease-expired.v1',
      runId,
      sessionId,
      fence,
      runnerId: run.runnerId ?? '',
      next: 'queued',
      commandId: command.nextCommandId,
      expiredAt: endedAt,
      reason: failure.message.slice(0, 500),
      ...closing(run),
    });
  return accept({ type: 'fleetlog.run.failed.v1', ...end, failure, result });
};

export const expireLease = (command: CommandOf<'expire-lease'>, run: Run, now: number): RunDecision => {
  const { fence, commandId } = command;
  if (fence > run.claims)
    return reject('RUN_NOT_CLAIMED', `run ${run.created.runId} has no claim ${fence}`, { fence });
  // Another observer was faster, or the claim is over: the loss of that lease needs nothing more.
  if (fence < run.claims || !isHeld(run)) return unchanged;
  const next = nextAfterLoss(run);
  return accept({
    type: 'fleetlog.run.lease-expired.v1',
    runId: run.created.runId,
    sessionId: run.created.sessionId,
    fence,
    runnerId: run.runnerId ?? '',
    next,
    commandId: next === 'queued' ? commandId : null,
    expiredAt: now,
    ...closing(run),
  });
};
