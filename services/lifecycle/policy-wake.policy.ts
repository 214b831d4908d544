// When a policy has to be looked at again although nothing happens: the time of its timer. Pure. Too early costs a look, too late is
// never right, so the earliest of all reasons counts.
import type { PolicyEvidence } from '#streams/policy-commands.ts';
import { isForbidden, type Policy, type Spawn } from './policy-state.policy.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** An idle runner says every five seconds what it does. */
const LIMIT_LOOK_MS = 5 * SECOND_MS;

/** When the agent will have been idle for long enough, if nothing happens. Of a busy one nobody knows; its idle time begins now at the earliest. */
const ofIdleness = ({ config, restart }: Policy, spawn: Spawn, idleFrom: number): number[] => {
  const at: number[] = [];
  if (config.mode !== 'always-on' && config.keepAliveSeconds > 0)
    at.push(idleFrom + config.keepAliveSeconds * SECOND_MS);
  if (config.dailyRestart) at.push(Math.max(spawn.startedAt + DAY_MS, idleFrom + HOUR_MS));
  if (restart?.cause === 'restart-on-update') at.push(idleFrom + Math.max(restart.idleMs, MINUTE_MS));
  return at;
};

/** A busy agent is looked at as often as it may be silent, a loop every minute. */
const ofHealth = (
  { config: { health }, stuck }: Policy,
  { isBusy, silentAt }: { readonly isBusy: boolean; readonly silentAt: number },
  now: number,
): number[] => {
  const isReported = stuck?.step === 'report';
  const at: number[] = stuck === null || isReported ? [] : [stuck.nextAt];
  const stepMs = health.stuckAfterSeconds * SECOND_MS;
  // What is over already was looked at just now: a step later it is looked at again.
  if (stepMs > 0 && isBusy) at.push(silentAt > now ? silentAt : now + stepMs);
  if (health.sameCalls > 0 && isBusy) at.push(now + MINUTE_MS);
  return at;
};

const ofRunning = (
  policy: Policy,
  spawn: Spawn,
  { activity, silentAt = 0, usage }: PolicyEvidence,
  now: number,
): number[] => {
  const runningAt = spawn.runningAt ?? spawn.startedAt;
  const isBusy = activity?.isBusy === true;
  const lastAt = Math.max(activity?.lastAt ?? 0, runningAt);
  const at = [
    ...ofIdleness(policy, spawn, isBusy ? now : lastAt),
    ...ofHealth(policy, { isBusy, silentAt }, now),
  ];
  // It is to stop as soon as it is idle, and the end of its turn may have been seen before its runner said so.
  if (isBusy && usage !== undefined && usage.freeAt > 0) at.push(now + LIMIT_LOOK_MS);
  if (policy.failures > 0) at.push(runningAt + policy.config.backoff.resetAfterSeconds * SECOND_MS);
  return at;
};

const atRest = (policy: Policy, calendarAt: number | null, now: number): number[] => {
  const { state, dueAt, limitedUntil, config } = policy;
  if (isForbidden(policy)) return [];
  const at: number[] = [];
  if (state === 'backoff' && dueAt !== null && dueAt > now) at.push(dueAt);
  if (limitedUntil > now) at.push(limitedUntil);
  if (config.mode === 'scheduled' && calendarAt !== null) at.push(calendarAt);
  return at;
};

/** Epoch ms, at least a second from now unless it is a deadline; null: it need not be looked at. `calendarAt`: the next of its calendar. */
export const nextWake = (
  policy: Policy,
  evidence: PolicyEvidence,
  { now, calendarAt }: { readonly now: number; readonly calendarAt: number | null },
): number | null => {
  const { state, spawn, dueAt } = policy;
  if (state === 'starting' || state === 'stopping') return dueAt;
  const at =
    state === 'running' && spawn !== null
      ? ofRunning(policy, spawn, evidence, now)
      : atRest(policy, calendarAt, now);
  return at.length === 0 ? null : Math.max(now + SECOND_MS, Math.min(...at));
};
