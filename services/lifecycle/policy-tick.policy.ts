// What follows for a policy from its record, the evidence and the time: at most one transition. Pure. What does not concern the state
// is not looked at.
import { accept, unchanged, type Decision } from '#libs/kernel/decider.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { PolicyCommand } from '#streams/policy-commands.ts';
import { failedBy, stoppedBy } from './policy-failure.policy.ts';
import { decideAtRest, strayOf } from './policy-rest.policy.ts';
import { decideRunning, forbiddenStop, ofSpawn, stop, type Live } from './policy-running.policy.ts';
import type { Policy } from './policy-state.policy.ts';

type Tick = Extract<PolicyCommand, { readonly kind: 'tick' }>;
type TickDecision = Decision<PolicyEvent, never>;

/** Longest wait between two words to a host that it is to kill. */
const MOST_ESCALATION_MS = 300_000;

/** LC-T5, T4 with WK-63: until it has registered. */
const decideStarting = ({ evidence, chance }: Tick, live: Live): TickDecision => {
  const { policy, spawn, now } = live;
  const { runner } = evidence;
  const why = forbiddenStop(policy);
  if (why !== undefined) return stop(live, evidence, why);
  if (runner?.spawnId === spawn.spawnId)
    return accept({
      type: 'fleetlog.policy.running.v1',
      ...ofSpawn(live),
      runnerId: runner.runnerId.slice(0, 128),
      runnerVersion: runner.version.slice(0, 64),
    });
  if (now < (policy.dueAt ?? 0)) return strayOf(policy, runner, now) ?? unchanged;
  const message = `its runner did not announce itself within ${policy.config.startTimeoutSeconds} s`;
  return failedBy(policy, spawn, { cause: 'timed-out', code: 'START_TIMED_OUT', message, chance }, now);
};

/** LC-T11, T12 with WK-63: until it is gone. A registration that comes now moves nothing (WK-73). */
const decideStopping = ({ evidence }: Tick, live: Live): TickDecision => {
  const { policy, spawn, now } = live;
  const { runner, isHostOnline } = evidence;
  const isUnseen = runner !== undefined && runner?.spawnId !== spawn.spawnId;
  const isOver = now >= (policy.dueAt ?? 0);
  // A host that is there says when the process has ended; of one that is not, the silence of its runner is all there is.
  if (isUnseen && (isHostOnline === false || (isOver && policy.stopTries > 0)))
    return stoppedBy(policy, 'vanished', now);
  if (!isOver) return unchanged;
  const tries = policy.stopTries + 1;
  const deadlineAt = now + Math.min(MOST_ESCALATION_MS, 10_000 * 2 ** policy.stopTries);
  return accept({ type: 'fleetlog.policy.stop-escalated.v1', ...ofSpawn(live), tries, deadlineAt });
};

/** Decides by the state. The evidence is of this very record: whoever asks sees to it, with `handleAt`. */
export const decideTick = (command: Tick, policy: Policy, now: number): TickDecision => {
  const { state, spawn } = policy;
  if (state === 'failed') return policy.isRemoved ? stoppedBy(policy, 'not-wanted', now) : unchanged;
  if (spawn === null) return decideAtRest(command, policy, now);
  const live = { policy, spawn, now };
  if (state === 'starting') return decideStarting(command, live);
  return state === 'running' ? decideRunning(command, live) : decideStopping(command, live);
};
