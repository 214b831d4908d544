// Claiming and keeping a run, in the name of an agent: the lease key and the claim are written at once, and the runner is answered when both
// are stored, so whoever works has a lease. Safe to repeat with the same claim id: the first answer comes again. Does not watch for lost
// leases (lost-leases.ts).
import type { Clock } from '#libs/ports/clock.ts';
import { createSubjectTurns } from '#libs/commands/subject-turns.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { RunRequestOf, RunResultOf } from '#streams/run-requests.ts';
import type { AgentPlace } from '#streams/subjects.ts';
import type { Leases } from './leases.ts';
import { endedRejection, foreignTo, isEnded, isHeld, type Run } from './run-state.policy.ts';
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

type ClaimAnswer = RunAnswer<RunResultOf<'claim'>>;

/** `leasedFence`: the claim whose lease is taken with it; 0: of none, so that only a refusal or the repeat of an earlier answer can come of it. */
const append = async (
  { runLog }: Parts,
  asker: AgentPlace,
  { request, leasedFence }: { readonly request: ClaimRequest; readonly leasedFence: number },
): Promise<ClaimAnswer> => {
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

/**
 * Lease and claim are written at once, each at its expectation, and the claim decides: granted, its lease is seized from whoever lost; refused,
 * what was taken is given back, unless it stands for somebody else's claim by now.
 */
const claimQueued = async (
  parts: Parts,
  asker: AgentPlace,
  { request, run }: { readonly request: ClaimRequest; readonly run: Run },
): Promise<ClaimAnswer> => {
  const { runLog, leases } = parts;
  const target = targetOf(asker, request);
  const { boundary, runId } = target;
  const { leaseMs } = run.created;
  const fence = run.claims + 1;
  const holder = { boundary, runId, runnerId: request.runnerId, fence };
  const [leasing, claiming] = await Promise.allSettled([
    leases.take(holder, leaseMs),
    append(parts, asker, { request, leasedFence: fence }),
  ]);
  if (claiming.status === 'rejected') throw claiming.reason;
  // The claim may stand: it is asked for again, and its lease is written then.
  if (leasing.status === 'rejected') throw leasing.reason;
  const [taking, answer] = [leasing.value, claiming.value];
  if (answer.kind === 'ok') {
    if (taking.kind === 'held' && answer.result.fence === fence) await leases.seize(holder, leaseMs);
    return answer;
  }
  if (taking.kind === 'taken') {
    const { state } = await runLog.load(target);
    const standsForAnother = state !== undefined && isHeld(state) && state.claims >= fence;
    if (!standsForAnother) await leases.giveBack(boundary, runId, taking.revision);
  }
  return answer;
};

/**
 * Anything but a queued run is answered by the rules alone: a refusal, or the first answer again. Whoever gave that may have died before the lease
 * was written; a claim that is younger than its lease has it from now on.
 */
const claimAgain = async (parts: Parts, asker: AgentPlace, request: ClaimRequest): Promise<ClaimAnswer> => {
  const { runLog, leases, clock } = parts;
  const answer = await append(parts, asker, { request, leasedFence: 0 });
  if (answer.kind !== 'ok') return answer;
  const target = targetOf(asker, request);
  const { state: run } = await runLog.load(target);
  const { fence, leaseMs } = answer.result;
  const stands = run !== undefined && isHeld(run) && run.claims === fence;
  const isYoung = clock.now() - (run?.claimedAt ?? 0) < leaseMs;
  if (stands && isYoung) {
    const { boundary, runId } = target;
    await leases.seize({ boundary, runId, runnerId: request.runnerId, fence }, leaseMs);
  }
  return answer;
};

const lostLease = (run: Run, { runId, runnerId, fence }: RunRequestOf<'renew'>): RunAnswer<never> => {
  if (isEnded(run.state)) return refused(endedRejection(run));
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

const claimOnce = async (parts: Parts, asker: AgentPlace, request: ClaimRequest): Promise<ClaimAnswer> => {
  const target = targetOf(asker, request);
  // What is remembered may be old: the append decides by what is new.
  const remembered = parts.runLog.remembered(target)?.state;
  const run = remembered?.state === 'queued' ? remembered : (await parts.runLog.load(target)).state;
  // Before the lease, and before the repeat of another agent's claim could be answered.
  const foreign = run === undefined ? undefined : foreignTo(run, asker.agent);
  if (foreign !== undefined) return refused(foreign);
  return run?.state === 'queued'
    ? claimQueued(parts, asker, { request, run })
    : claimAgain(parts, asker, request);
};

/** Between the look at the run and the append its state may change, each time by somebody's progress. */
const MOST_TRIES = 4;
const OVERTAKEN_AGAIN_MS = 1000;

const claimKnown = async (parts: Parts, asker: AgentPlace, request: ClaimRequest): Promise<ClaimAnswer> => {
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

/** An instruction may be faster than the run that it is about (beginnings.ts): a claim waits for so long, looking after 10 ms and then twice as late each time. */
const UNKNOWN_MS = 1000;
const FIRST_LOOK_MS = 10;
/** Claims that wait so; of more nobody waits, so that they do not stand in the way of others. */
const MOST_WAITING = 64;

const waitingClaims = (parts: Parts) => {
  let waiting = 0;
  return async (asker: AgentPlace, request: ClaimRequest): Promise<ClaimAnswer> => {
    let answer = await claimKnown(parts, asker, request);
    const isUnknown = (): boolean => answer.kind === 'refused' && answer.rejection.code === 'RUN_UNKNOWN';
    if (!isUnknown() || waiting >= MOST_WAITING) return answer;
    waiting += 1;
    try {
      for (let waitMs = FIRST_LOOK_MS, leftMs = UNKNOWN_MS; isUnknown() && leftMs > 0; waitMs *= 2) {
        await parts.clock.sleep(Math.min(waitMs, leftMs));
        leftMs -= waitMs;
        answer = await claimKnown(parts, asker, request);
      }
      return answer;
    } finally {
      waiting -= 1;
    }
  };
};

export const createClaims = (parts: Parts): Claims => {
  // One runner may follow two instructions of a run at once, an old one and the new one: their claims would share a lease, and the one
  // that is refused would give back that of the other.
  const turns = createSubjectTurns();
  const claim = waitingClaims(parts);
  return {
    claim: (asker, request) =>
      turns.take(`${asker.tenant}.${asker.project}.${request.runId}`, () => claim(asker, request)),
    renew: (asker, request) => renew(parts, asker, request),
  };
};
