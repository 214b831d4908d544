// What follows for a policy whose agent runs: that it is gone, healthy again, to be stopped, or stuck. Pure.
import { accept, unchanged, type Decision } from '#libs/kernel/decider.ts';
import type { PolicyEvent, StuckEvidence } from '#streams/policy.ts';
import type { StopCause } from '#streams/policy-causes.ts';
import type { PolicyCommand, PolicyEvidence } from '#streams/policy-commands.ts';
import { failedBy } from './policy-failure.policy.ts';
import { UPDATE_IDLE_MS, type Policy, type Spawn } from './policy-state.policy.ts';

type Tick = Extract<PolicyCommand, { readonly kind: 'tick' }>;
type TickDecision = Decision<PolicyEvent, never>;

/** A policy with a start under way, at a time. */
export interface Live {
  readonly policy: Policy;
  readonly spawn: Spawn;
  readonly now: number;
}

const HOUR_MS = 3_600_000;
/** ND-14. */
const DAILY_MS = 24 * HOUR_MS;
const DAILY_IDLE_MS = HOUR_MS;
/** Between two steps about a loop where no silence is set. */
const LOOP_STEP_MS = 120_000;
/** What a host gets to kill before it is told again. */
const KILL_MS = 5000;

/** What every event about a start names. */
export const ofSpawn = ({ policy: { policy }, spawn: { spawnId, agent, host }, now }: Live) => ({
  policy,
  decidedAt: now,
  spawnId,
  agent,
  host,
});

/** Why it is stopped, and what follows. */
export interface Stop {
  readonly cause: StopCause;
  readonly reason: string;
  readonly isRestart?: boolean;
  readonly limitedUntil?: number;
  readonly evidence?: StuckEvidence;
}

/** Has it stopped. Of an idle one the mail so far is settled: it had its time for it. */
export const stop = (live: Live, { mailSeq }: PolicyEvidence, given: Stop): TickDecision => {
  const { policy, now } = live;
  const timeoutMs = policy.config.stopTimeoutSeconds * 1000;
  const { cause, reason, isRestart = false, limitedUntil = null, evidence = null } = given;
  const settledSeq = cause === 'idle-timeout' ? Math.max(policy.settledSeq, mailSeq ?? 0) : policy.settledSeq;
  return accept({
    type: 'fleetlog.policy.stopping.v1',
    ...ofSpawn(live),
    cause,
    reason,
    isGraceful: true,
    timeoutMs,
    isRestart,
    deadlineAt: now + timeoutMs + KILL_MS,
    settledSeq,
    limitedUntil,
    evidence,
  });
};

/** It is not to run, whatever it does. */
export const forbiddenStop = ({ isRemoved, isPaused, asked, config }: Policy): Stop | undefined => {
  if (isRemoved) return { cause: 'removed', reason: 'the policy was removed' };
  if (isPaused || config.mode === 'paused') return { cause: 'paused', reason: 'the policy is paused' };
  if (asked === 'stopped') return { cause: 'operator', reason: 'a stop was asked for' };
  return undefined;
};

const limitStop = ({ config: { limits } }: Policy, { usage }: PolicyEvidence): Stop | undefined => {
  if (usage === undefined) return undefined;
  const { runs, spendMicroUsd, freeAt: limitedUntil } = usage;
  const within = `within ${limits.windowSeconds} s`;
  if (limits.runs > 0 && runs >= limits.runs)
    return { cause: 'limit', reason: `${runs} turns ${within}`, limitedUntil };
  if (limits.spendMicroUsd > 0 && spendMicroUsd >= limits.spendMicroUsd)
    return { cause: 'limit', reason: `${spendMicroUsd / 1e6} USD ${within}`, limitedUntil };
  return undefined;
};

/** Restarts that wait for idleness: daily, then those of updates. */
const restartStop = ({ policy, spawn, now }: Live, idleMs: number): Stop | undefined => {
  const { config, restart } = policy;
  if (config.dailyRestart && now - spawn.startedAt >= DAILY_MS && idleMs >= DAILY_IDLE_MS)
    return { cause: 'daily-restart', reason: 'it has run for a day', isRestart: true };
  if (restart?.cause === 'restart-on-update' && idleMs >= Math.max(restart.idleMs, UPDATE_IDLE_MS))
    return { cause: 'restart-on-update', reason: restart.reason, isRestart: true };
  return undefined;
};

/** What follows from its being idle, in the order of LC-22. */
const idleStop = (live: Live, evidence: PolicyEvidence): Stop | undefined => {
  const { activity } = evidence;
  if (activity === undefined || activity.isBusy) return undefined;
  const { policy, spawn, now } = live;
  const { mode, keepAliveSeconds } = policy.config;
  const idleMs = now - Math.max(activity.lastAt, spawn.runningAt ?? spawn.startedAt);
  const isKept = mode === 'always-on' || keepAliveSeconds === 0 || idleMs < keepAliveSeconds * 1000;
  if (!isKept) return { cause: 'idle-timeout', reason: `idle for ${Math.round(idleMs / 1000)} s` };
  return limitStop(policy, evidence) ?? restartStop(live, idleMs);
};

const unstuck = (live: Live, turnId: string | null): TickDecision =>
  accept({ type: 'fleetlog.policy.unstuck.v1', ...ofSpawn(live), turnId });

/** Another turn, or one that waits for a person now, or no more: the steps begin anew. */
const isNewTrouble = (stuck: NonNullable<Policy['stuck']>, seen: StuckEvidence): boolean =>
  stuck.turnId !== seen.turnId || (stuck.kind === 'waiting') !== (seen.kind === 'waiting');

/** Nudge, interrupt, restart: one step for each time that nothing has changed. What waits for a person is said once, and left alone. */
const unstick = (live: Live, evidence: PolicyEvidence): TickDecision | undefined => {
  const { stuck: seen } = evidence;
  const { policy, now } = live;
  const { stuck, config } = policy;
  if (seen === undefined) return undefined;
  if (seen === null) return stuck === null ? undefined : unstuck(live, stuck.turnId);
  const nextAt = now + (config.health.stuckAfterSeconds * 1000 || LOOP_STEP_MS);
  const step = { type: 'fleetlog.policy.stuck.v1', ...ofSpawn(live), evidence: seen, nextAt } as const;
  if (stuck === null || isNewTrouble(stuck, seen))
    return accept({ ...step, step: seen.kind === 'waiting' ? 'report' : 'nudge' });
  if (seen.kind === 'waiting' || now < stuck.nextAt) return undefined;
  if (stuck.step !== 'interrupt') return accept({ ...step, step: 'interrupt' });
  return stop(live, evidence, { cause: 'stuck', reason: seen.detail, isRestart: true, evidence: seen });
};

/** LC-T6, T13: its runner is not heard of, or another one has its place. */
const vanished = ({ policy, spawn, now }: Live, { evidence, chance }: Tick): TickDecision | undefined => {
  const { runner } = evidence;
  if (runner === undefined || runner?.spawnId === spawn.spawnId) return undefined;
  const message =
    runner === null
      ? 'its runner was not heard of in time'
      : `another runner took its place (${runner.runnerId})`;
  return failedBy(policy, spawn, { cause: 'vanished', code: 'AGENT_VANISHED', message, chance }, now);
};

/** LC-T7. */
const healthyAgain = (live: Live): TickDecision | undefined => {
  const { policy, spawn, now } = live;
  const { failures, config } = policy;
  const resetAt = (spawn.runningAt ?? now) + config.backoff.resetAfterSeconds * 1000;
  if (failures === 0 || now < resetAt) return undefined;
  return accept({ type: 'fleetlog.policy.healthy.v1', ...ofSpawn(live), failures });
};

/** LC-22: gone → healthy → not to run → restart asked for → idle, limit, daily, update → stuck. */
export const decideRunning = (command: Tick, live: Live): TickDecision => {
  const { evidence } = command;
  const first = vanished(live, command) ?? healthyAgain(live);
  if (first !== undefined) return first;
  const { policy } = live;
  const asked: Stop | undefined =
    policy.restart?.cause === 'operator'
      ? { cause: 'operator', reason: policy.restart.reason, isRestart: true }
      : undefined;
  const why = forbiddenStop(policy) ?? asked ?? idleStop(live, evidence);
  return why === undefined ? (unstick(live, evidence) ?? unchanged) : stop(live, evidence, why);
};
