// Looks at one policy: record, evidence, decision, at most one append, its timer. Everything that may concern a policy ends here, under
// a cause that is the same for everybody who is told of it; so any number of instances look, and one transition follows.
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import { nextCronAt } from '#libs/cron/cron.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { makeId } from '#streams/ids.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { PolicyEvidence } from '#streams/policy-commands.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Evidence } from './evidence.ts';
import type { HostBoard } from './host-board.ts';
import { ACTOR, policyKey, stateAt, type PolicyLog } from './policy-log.ts';
import type { Policy } from './policy-state.policy.ts';
import { PACED, type PolicyTimers } from './policy-timers.ts';
import { nextWake } from './policy-wake.policy.ts';
import { isOf, lookedInOf } from './policy-tick.policy.ts';
import { policyDecider } from './policy.decider.ts';
import type { StartPace } from './start-pace.ts';
import type { UpdateSlots } from './update-slots.ts';

/** A policy that something may have changed for. */
export interface Place {
  readonly boundary: Boundary;
  readonly policy: string;
}

/** Why it is looked at: unique among all causes, and the same for everybody who is told of it. */
interface Occasion {
  readonly cause: string;
  /** Id of the entry behind it. */
  readonly causation?: string;
  /** Sequence of the entry behind it, where that is a transition of the policy itself. */
  readonly seq?: number;
  /** The state whose time was over: of any other there is another timer. */
  readonly onlyIn?: string;
}

export interface Keeper {
  /** Faults: those of log and buckets, `COMMAND_CONTENDED` (now), `POLICY_UNREADABLE` (never). */
  consider(place: Place, occasion: Occasion): Promise<void>;
  /** The same, for what is not handed over again when it fails: what fails here is said and left to the next occasion. */
  tryToConsider(place: Place, occasion: Occasion): Promise<void>;
}

interface Parts {
  readonly policyLog: PolicyLog;
  readonly evidence: Evidence;
  readonly timers: PolicyTimers;
  readonly hosts: HostBoard;
  readonly pace: StartPace;
  readonly slots: UpdateSlots;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly onTrouble: (policy: string, fault: Fault) => void;
}

/** Between two tries of what nobody hands over again. */
const RETRY_MS = 500;
const MOST_TRIES = 20;
/** Until it is looked again whether an agent may be started anew for an update. */
const SLOT_WAIT_MS = 5000;

const calendarAt = ({ config }: Policy, now: number): number | null =>
  config.mode === 'scheduled' && config.schedule !== undefined ? nextCronAt(config.schedule, now) : null;

export const createKeeper = (parts: Parts): Keeper => {
  const { policyLog, evidence, timers, hosts, pace, slots, clock, ids, onTrouble } = parts;

  const arm = async (place: Place, policy: Policy, seen: PolicyEvidence, cause: string): Promise<void> => {
    const now = clock.now();
    const dueAt = nextWake(policy, seen, { now, calendarAt: calendarAt(policy, now) });
    if (dueAt !== null) await timers.set(place, { state: policy.state, dueAt, cause });
  };

  /** How long it has to wait, although it was decided; 0: not at all. */
  const holdMs = async (place: Place, event: PolicyEvent, now: number): Promise<number> => {
    if (event.type === 'fleetlog.policy.starting.v1') return pace.take(now);
    if (event.type !== 'fleetlog.policy.stopping.v1' || event.cause !== 'restart-on-update') return 0;
    return (await slots.take(place, event.spawnId)) ? 0 : Math.round(SLOT_WAIT_MS * (1 + ids.random()));
  };

  const consider = async (place: Place, { cause, causation, seq, onlyIn }: Occasion): Promise<void> => {
    const target = { ...place, actor: ACTOR, ...(causation !== undefined && { causation }) };
    const policy = await stateAt(policyLog, target, seq);
    if (policy === undefined || (onlyIn ?? policy.state) !== policy.state) return;
    const now = clock.now();
    const seen = await evidence.look(place.boundary, policy, now);
    const spawnId = makeId('spawn', ids.ulid());
    const lookedIn = lookedInOf(policy);
    const command = { kind: 'tick', evidence: seen, lookedIn, spawnId, chance: ids.random() } as const;
    const decision = policyDecider.decide(command, policy, { now });
    if (decision.kind !== 'accepted') return arm(place, policy, seen, cause);
    const { event } = decision;
    const isStart = event.type === 'fleetlog.policy.starting.v1';
    const waitMs = await holdMs(place, event, now);
    if (waitMs > 0) return timers.set(place, { state: PACED, dueAt: now + waitMs, cause });
    if (isStart) hosts.give(place.boundary, event.host, spawnId);
    // Its own transition is the next occasion: instructions and timers follow from that.
    const outcome = await policyLog.handle(target, command, { id: `${policyKey(place)}.${cause}`, now });
    const isMine = outcome.kind === 'accepted' && !outcome.repeated && outcome.event.type === event.type;
    if (isStart && !isMine) hosts.takeBack(place.boundary, event.host, spawnId);
    // Somebody was faster, and what followed for them is told by their transition.
    if (outcome.kind === 'unchanged' && isOf(lookedIn, outcome.state))
      await arm(place, outcome.state, seen, cause);
  };

  const tryToConsider = async (place: Place, occasion: Occasion): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await consider(place, occasion);
      } catch (error) {
        const fault = toFault(error);
        onTrouble(place.policy, fault);
        if (fault.retry === 'never' || tries >= MOST_TRIES) return;
        await clock.sleep(Math.round(RETRY_MS * Math.min(tries, 10) * (1 + ids.random())));
      }
    }
  };

  return { consider, tryToConsider };
};
