// The rules of a run: who may claim it, what a report changes, what a lost lease and a cancel lead to. Pure.
// Guarantees: at most one terminal event; fences strictly increase by one; only the holder's fence moves a run; terminal
// absorbs. Does not know leases in time (its owner says when one is lost) and does not start anything (see instructions.ts).
//
// queued ─claim→ claimed ─start-turn→ running ─finish-turn→ completed | failed | cancelled
//   ↑               └────────────── finish-turn ───────────────────↗      (the started report may be missing)
//   └─ lease-expired(queued) ─ claimed | running ─ lease-expired(failed) → failed
// queued ─cancel→ cancelled;  claimed | running ─cancel→ cancelling ─finish-turn | lease-expired(cancelled)→ cancelled
import { accept, reject, unchanged, type Decider, type Decision } from '#libs/kernel/decider.ts';
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { RunCommand, RunCreated, RunEvent, RunStateName, TurnResult } from '#streams/run.ts';

/** Refusals of a run. */
export type RunRejection = Extract<RejectionCode, `RUN_${string}`>;

/** A run as folded from its history; undefined before it was created. */
export interface Run {
  readonly state: RunStateName;
  readonly created: Omit<RunCreated, 'type'>;
  /** Claims so far, which is also the fence of the last claim; 0: never claimed. */
  readonly claims: number;
  /** Who holds it; null when nobody does. */
  readonly runnerId: string | null;
  /** The turn of the last claim, as far as known. */
  readonly turnId: string | null;
  readonly cancelReason: string | null;
  /** The fence whose finish report ended the run; null while it lives, and when something else ended it. */
  readonly finishedBy: number | null;
}
export type RunState = Run | undefined;

type RunDecision = Decision<RunEvent, RunRejection>;
type CommandOf<Kind extends RunCommand['kind']> = Extract<RunCommand, { readonly kind: Kind }>;

/** True for the states that absorb everything. */
export const isEnded = (state: RunStateName): boolean =>
  state === 'completed' || state === 'failed' || state === 'cancelled';

/** True while a runner holds the run under a lease. */
export const isHeld = (state: RunStateName): boolean =>
  state === 'claimed' || state === 'running' || state === 'cancelling';

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

/** Why an agent may not touch the run; undefined when the run was given to it. */
export const foreignTo = (run: Run, agent: string): Rejection<'RUN_FOREIGN'> | undefined => {
  const { runId, agent: owner } = run.created;
  if (agent === owner) return undefined;
  return rejection('RUN_FOREIGN', `run ${runId} was not given to agent ${agent}`, { agent });
};

const claim = ({ agent, runnerId }: CommandOf<'claim'>, run: Run, now: number): RunDecision => {
  const foreign = foreignTo(run, agent);
  if (foreign !== undefined) return { kind: 'rejected', rejection: foreign };
  if (isEnded(run.state)) return ended(run);
  const { runId, sessionId, leaseMs } = run.created;
  if (run.state !== 'queued')
    return reject('RUN_CLAIMED', `run ${runId} is held by ${run.runnerId}`, {
      runnerId: run.runnerId,
      fence: run.claims,
    });
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

/** Why a report cannot move the run, or undefined when it comes from the holder. */
const refusalOf = (
  run: Run,
  { fence, agent }: { readonly fence: number; readonly agent: string },
): RunDecision | undefined => {
  const foreign = foreignTo(run, agent);
  if (foreign !== undefined) return { kind: 'rejected', rejection: foreign };
  if (run.claims === 0)
    return reject('RUN_NOT_CLAIMED', `run ${run.created.runId} was never claimed`, { fence });
  if (fence === run.claims && isHeld(run.state)) return undefined;
  return reject(
    'RUN_FENCED',
    `fence ${fence} does not hold run ${run.created.runId} (${run.state}, ${run.claims} claims)`,
    {
      fence,
      currentFence: run.claims,
      state: run.state,
    },
  );
};

const startTurn = (command: CommandOf<'start-turn'>, run: Run): RunDecision => {
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
  return run.created.replay === 'requeue' && run.claims < run.created.maxAttempts ? 'queued' : 'failed';
};

const finishTurn = (command: CommandOf<'finish-turn'>, run: Run): RunDecision => {
  const { fence, turnId, result, endedAt } = command;
  if (run.finishedBy === fence) return unchanged;
  const refusal = refusalOf(run, command);
  if (refusal !== undefined) return refusal;
  const end = { runId: run.created.runId, sessionId: run.created.sessionId, fence, turnId, endedAt };
  // Asked to cancel: cancelled it is, also when the turn was faster. What it achieved is kept in the result.
  if (run.state === 'cancelling' || result.outcome === 'cancelled')
    return accept({
      type: 'fleetlog.run.cancelled.v1',
      ...end,
      reason: run.cancelReason ?? ownReason(result),
      result,
    });
  if (result.outcome === 'done') return accept({ type: 'fleetlog.run.completed.v1', ...end, result });
  const failure = result.failure ?? {
    kind: 'provider-failed',
    message: result.summary || 'the turn failed without saying why',
  };
  // A runner that says it was lost is as good as one that is not heard of: the replay rule decides.
  if (failure.kind === 'runner-lost' && nextAfterLoss(run) === 'queued')
    return accept({
      type: 'fleetlog.run.lease-expired.v1',
      runId: end.runId,
      sessionId: end.sessionId,
      fence,
      runnerId: run.runnerId ?? '',
      next: 'queued',
      commandId: command.nextCommandId,
      expiredAt: endedAt,
      reason: failure.message.slice(0, 500),
    });
  return accept({ type: 'fleetlog.run.failed.v1', ...end, failure, result });
};

const expireLease = (command: CommandOf<'expire-lease'>, run: Run, now: number): RunDecision => {
  const { fence, commandId } = command;
  if (fence > run.claims)
    return reject('RUN_NOT_CLAIMED', `run ${run.created.runId} has no claim ${fence}`, { fence });
  // Another observer was faster, or the claim is over: the loss of that lease needs nothing more.
  if (fence < run.claims || !isHeld(run.state)) return unchanged;
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
  });
};

const cancel = ({ reason }: CommandOf<'cancel'>, run: Run, now: number): RunDecision => {
  if (isEnded(run.state) || run.state === 'cancelling') return unchanged;
  const { runId, sessionId } = run.created;
  if (run.state === 'queued')
    return accept({
      type: 'fleetlog.run.cancelled.v1',
      runId,
      sessionId,
      fence: null,
      turnId: null,
      endedAt: now,
      reason,
      result: null,
    });
  const fence = run.claims;
  return accept({
    type: 'fleetlog.run.cancel-requested.v1',
    runId,
    sessionId,
    reason,
    fence,
    requestedAt: now,
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
};

const decide = (command: RunCommand, run: RunState, { now }: { readonly now: number }): RunDecision => {
  if (command.kind === 'create') return create(command, run, now);
  if (run === undefined) return reject('RUN_UNKNOWN', 'no run has this id');
  // The table has the handler of each kind; the compiler cannot follow the pairing through a union.
  const handler = DECIDE[command.kind] as Decide<RunCommand['kind']>;
  return handler(command, run, now);
};

type Change = Exclude<RunEvent, RunCreated>;
type ChangeOf<Type extends Change['type']> = Extract<Change, { readonly type: Type }>;

const EVOLVE: { readonly [Type in Change['type']]: (run: Run, event: ChangeOf<Type>) => Partial<Run> } = {
  'fleetlog.run.claimed.v1': (_run, { fence, runnerId }) => ({
    state: 'claimed',
    claims: fence,
    runnerId,
    turnId: null,
  }),
  'fleetlog.run.turn-started.v1': (run, { turnId }) => ({
    state: run.state === 'cancelling' ? 'cancelling' : 'running',
    turnId,
  }),
  'fleetlog.run.lease-expired.v1': (run, { next, reason, fence }) => ({
    state: next,
    runnerId: null,
    // With a reason it was the runner's own report that ended the claim: its repeat is no news.
    finishedBy: reason === undefined ? run.finishedBy : fence,
  }),
  'fleetlog.run.cancel-requested.v1': (_run, { reason }) => ({ state: 'cancelling', cancelReason: reason }),
  'fleetlog.run.completed.v1': (_run, event) => finished('completed', event),
  'fleetlog.run.failed.v1': (_run, event) => finished('failed', event),
  'fleetlog.run.cancelled.v1': (_run, event) => ({
    ...finished('cancelled', event),
    cancelReason: event.reason,
  }),
};

const finished = (
  state: RunStateName,
  { turnId, fence }: { readonly turnId: string | null; readonly fence: number | null },
): Partial<Run> => ({ state, runnerId: null, turnId, finishedBy: fence });

const evolve = (run: RunState, event: RunEvent): RunState => {
  if (event.type !== 'fleetlog.run.created.v1') {
    if (run === undefined) return undefined;
    const handler = EVOLVE[event.type] as (run: Run, event: Change) => Partial<Run>;
    return { ...run, ...handler(run, event) };
  }
  const { type: _type, ...created } = event;
  const nobody = { claims: 0, runnerId: null, turnId: null, cancelReason: null, finishedBy: null };
  return run ?? { state: 'queued', created, ...nobody };
};

/** The decider of the run aggregate; its contract is streams/run.ts. */
export const runDecider: Decider<RunCommand, RunEvent, RunState, RunRejection> = {
  initial: undefined,
  decide,
  evolve,
};
