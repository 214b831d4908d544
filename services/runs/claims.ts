// Claiming and keeping a run, in the name of an agent: the lease key is written first, then the claim is appended; so a claimed
// run always had a lease. Safe to repeat with the same claim id: the first answer comes again. Does not watch for lost leases
// (lost-leases.ts).
import type { Clock } from '#libs/ports/clock.ts';
import { createSubjectTurns } from '#libs/commands/subject-turns.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { RunRequestOf, RunResultOf } from '#streams/run-requests.ts';
import type { AgentPlace } from '#streams/subjects.ts';
import type { Leases } from './leases.ts';
import { foreignTo, isEnded, type Run } from './run-state.policy.ts';
import type { RunLog, RunTarget } from './run-log.ts';

/** What the runs service answers. */
export type RunAnswer<Result> = Answer<Result, RejectionCode>;

export interface Claims {
  claim(asker: AgentPlace, request: RunRequestOf<'claim'>): Promise<RunAnswer<RunResultOf<'claim'>>>;
  renew(asker: AgentPlace, request: RunRequestOf<'renew'>): Promise<RunAnswer<RunResultOf<'renew'>>>;
}

interface Parts {
  readonly runLog: RunLog;
  readonly leases: Leases;
  readonly clock: Clock;
}

type ClaimRequest = RunRequestOf<'claim'>;

const targetOf = (
  { tenant, project, agent }: AgentPlace,
  { runId }: { readonly runId: string },
): RunTarget => ({ boundary: { tenant, project }, runId, actor: `agent:${agent}` });

/** `leasedFence`: the claim whose lease is held; 0: of none, so that only a refusal or the repeat of an earlier answer can come of it. */
const append = async (
  { runLog }: Parts,
  asker: AgentPlace,
  { request, leasedFence }: { readonly request: ClaimRequest; readonly leasedFence: number },
): Promise<RunAnswer<RunResultOf<'claim'>>> => {
  const { runId, runnerId, claimId, commandId } = request;
  const command = { kind: 'claim', agent: asker.agent, runnerId, commandId, leasedFence } as const;
  const id = `${runId}.claim.${claimId}`;
  const outcome = await runLog.handle(targetOf(asker, request), command, { id });
  if (outcome.kind === 'rejected') return refused(outcome.rejection);
  if (outcome.kind === 'accepted' && outcome.event.type === 'fleetlog.run.claimed.v1') {
    const { fence, leaseMs, runnerId: holder } = outcome.event;
    // The id of another runner's claim, used again: its answer is not for this one.
    if (holder !== runnerId)
      return refused(rejection('RUN_CLAIMED', `the claim ${claimId} of run ${runId} is that of ${holder}`));
    return ok({ runId, seq: outcome.seq, fence, leaseMs });
  }
  return refused(rejection('RUN_CLAIMED', `the claim ${claimId} of run ${runId} changed nothing`));
};

const claimQueued = async (
  parts: Parts,
  asker: AgentPlace,
  { request, run }: { readonly request: ClaimRequest; readonly run: Run },
): Promise<RunAnswer<RunResultOf<'claim'>>> => {
  const { runLog, leases } = parts;
  const { runId, runnerId } = request;
  const { boundary } = targetOf(asker, request);
  const { leaseMs } = run.created;
  const fence = run.claims + 1;
  const taking = await leases.take({ boundary, runId, runnerId, fence }, leaseMs);
  if (taking.kind === 'held')
    return refused(
      rejection(
        'RUN_CLAIMED',
        `run ${runId} is being claimed by ${taking.by?.runnerId ?? 'another runner'}`,
        {
          runnerId: taking.by?.runnerId,
          // Should that runner die before its claim is appended, the lease is free again after this time.
          retryAfterMs: leaseMs,
        },
      ),
    );
  const answer = await append(parts, asker, { request, leasedFence: fence });
  if (answer.kind === 'refused') {
    // Unless a repeat of this very claim was faster, the lease stands for nothing.
    const { state } = await runLog.load(targetOf(asker, request));
    if (state?.runnerId !== runnerId || state.claims !== fence)
      await leases.giveBack(boundary, runId, taking.revision);
  }
  return answer;
};

const lostLease = (run: Run, { runId, runnerId, fence }: RunRequestOf<'renew'>): RunAnswer<never> => {
  if (run.state === 'cancelled') return refused(rejection('RUN_CANCELLED', `run ${runId} was cancelled`));
  if (isEnded(run.state)) return refused(rejection('RUN_ENDED', `run ${runId} has ended (${run.state})`));
  if (run.claims === fence && run.runnerId === runnerId)
    return refused(rejection('RUN_NOT_CLAIMED', `the lease of claim ${fence} of run ${runId} has expired`));
  return refused(
    rejection('RUN_FENCED', `fence ${fence} does not hold run ${runId}`, { currentFence: run.claims }),
  );
};

const renew = async (
  { runLog, leases }: Parts,
  asker: AgentPlace,
  request: RunRequestOf<'renew'>,
): Promise<RunAnswer<RunResultOf<'renew'>>> => {
  const { runId, runnerId, fence } = request;
  const target = targetOf(asker, request);
  const { state: run } = await runLog.load(target);
  if (run === undefined) return refused(rejection('RUN_UNKNOWN', 'no run has this id'));
  const foreign = foreignTo(run, asker.agent);
  if (foreign !== undefined) return refused(foreign);
  const { leaseMs } = run.created;
  const holds = run.claims === fence && run.runnerId === runnerId;
  if (!holds || !(await leases.renew({ boundary: target.boundary, runId, runnerId, fence }, leaseMs)))
    return lostLease(run, request);
  return ok({ leaseMs, cancelRequested: run.state === 'cancelling' });
};

const claimOnce = async (
  parts: Parts,
  asker: AgentPlace,
  request: ClaimRequest,
): Promise<RunAnswer<RunResultOf<'claim'>>> => {
  const target = targetOf(asker, request);
  // What is remembered may be old: then the lease is held, or the append decides by what is new.
  const remembered = parts.runLog.remembered(target)?.state;
  const run = remembered?.state === 'queued' ? remembered : (await parts.runLog.load(target)).state;
  // Before the lease, and before the repeat of another agent's claim could be answered.
  const foreign = run === undefined ? undefined : foreignTo(run, asker.agent);
  if (foreign !== undefined) return refused(foreign);
  // Anything but a queued run is answered by the rules alone: a refusal, or the first answer again.
  return run?.state === 'queued'
    ? claimQueued(parts, asker, { request, run })
    : append(parts, asker, { request, leasedFence: 0 });
};

/** Between the look at the run and the append its state may change, each time by somebody's progress. */
const MOST_TRIES = 4;
const OVERTAKEN_AGAIN_MS = 1000;

const claim = async (
  parts: Parts,
  asker: AgentPlace,
  request: ClaimRequest,
): Promise<RunAnswer<RunResultOf<'claim'>>> => {
  for (let tries = 1; ; tries += 1) {
    const answer = await claimOnce(parts, asker, request);
    if (answer.kind !== 'refused' || answer.rejection.code !== 'RUN_FENCED') return answer;
    if (tries >= MOST_TRIES)
      return refused(
        rejection('RUN_CLAIMED', `run ${request.runId} is changing hands`, {
          retryAfterMs: OVERTAKEN_AGAIN_MS,
        }),
      );
  }
};

export const createClaims = (parts: Parts): Claims => {
  // One runner may follow two instructions of a run at once, an old one and the new one: their claims would share a lease, and the one
  // that is refused would give back that of the other.
  const turns = createSubjectTurns();
  return {
    claim: (asker, request) =>
      turns.take(`${asker.tenant}.${asker.project}.${request.runId}`, () => claim(parts, asker, request)),
    renew: (asker, request) => renew(parts, asker, request),
  };
};
