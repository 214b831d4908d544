// Looks at one policy: record, evidence, decision, at most one append, its timer. Everything that may concern a policy ends here, under
// a cause that is the same for everybody who is told of it; so any number of instances look, and one transition follows.
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { nextCronAt } from '#libs/cron/cron.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { makeId } from '#streams/ids.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { PolicyEvidence } from '#streams/policy-commands.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Evidence } from './evidence.ts';
import type { HostBoard } from './host-board.ts';
import { ACTOR, policyAt, policyKey, type PolicyLog } from './policy-log.ts';
import type { Policy } from './policy-state.policy.ts';
import { PACED, type PolicyTimers } from './policy-timers.ts';
import { nextWake } from './policy-wake.policy.ts';
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

/** Looks of one occasion: so often the record may go on between the look and the decision. */
const MOST_LOOKS = 8;
/** Between two tries of what nobody hands over again. */
const RETRY_MS = 500;
const MOST_TRIES = 20;
/** Until it is looked again whether an agent may be started anew for an update. */
const SLOT_WAIT_MS = 5000;

const calendarAt = ({ config }: Policy, now: number): number | null =>
  config.mode === 'scheduled' && config.schedule !== undefined ? nextCronAt(config.schedule, now) : null;

/** One look; gives the sequence to begin the next one at when the record has gone on before it was decided. */
type Look = (place: Place, occasion: Occasion) => Promise<number | undefined>;

const createLook = (parts: Parts): Look => {
  const { policyLog, evidence, timers, hosts, pace, slots, clock, ids } = parts;

  /** `now`: the time that was decided by. What came due since, while something was looked up, was not decided: its timer rings at once. */
  const arm = async (
    place: Place,
    { policy, seen, cause, now }: { policy: Policy; seen: PolicyEvidence; cause: string; now: number },
  ): Promise<void> => {
    const dueAt = nextWake(policy, seen, { now, calendarAt: calendarAt(policy, now) });
    if (dueAt !== null) await timers.set(place, { state: policy.state, dueAt, cause });
  };

  /** How long it has to wait, although it was decided; 0: not at all. */
  const holdMs = async (place: Place, event: PolicyEvent, now: number): Promise<number> => {
    if (event.type === 'fleetlog.policy.starting.v1') return pace.take(now);
    if (event.type !== 'fleetlog.policy.stopping.v1' || event.cause !== 'restart-on-update') return 0;
    return (await slots.take(place, event.spawnId)) ? 0 : Math.round(SLOT_WAIT_MS * (1 + ids.random()));
  };

  return async (place, { cause, causation, seq: sinceSeq, onlyIn }) => {
    const target = { ...place, actor: ACTOR, ...(causation !== undefined && { causation }) };
    const { state: policy, seq } = await policyAt(policyLog, target, sinceSeq);
    if (policy === undefined || (onlyIn ?? policy.state) !== policy.state) return undefined;
    const now = clock.now();
    const seen = await evidence.look(place.boundary, policy, now);
    const spawnId = makeId('spawn', ids.ulid());
    const command = { kind: 'tick', evidence: seen, spawnId, chance: ids.random() } as const;
    const decision = policyDecider.decide(command, policy, { now });
    if (decision.kind !== 'accepted') {
      await arm(place, { policy, seen, cause, now });
      return undefined;
    }
    const { event } = decision;
    const isStart = event.type === 'fleetlog.policy.starting.v1';
    const waitMs = await holdMs(place, event, now);
    if (waitMs > 0) {
      await timers.set(place, { state: PACED, dueAt: now + waitMs, cause });
      return undefined;
    }
    if (isStart) hosts.give(place.boundary, event.host, { spawnId, policy: place.policy });
    // Its own transition is the next occasion: instructions and timers follow from that.
    const id = `${policyKey(place)}.${cause}`;
    const outcome = await policyLog.handleAt(seq, target, command, { id, now });
    const isMine = outcome.kind === 'accepted' && !outcome.repeated && outcome.event.type === event.type;
    if (isStart && !isMine) hosts.takeBack(place.boundary, event.host, spawnId);
    return outcome.kind === 'moved' ? outcome.seq : undefined;
  };
};

export const createKeeper = (parts: Parts): Keeper => {
  const { clock, ids, onTrouble } = parts;
  const look = createLook(parts);

  const consider = async (place: Place, occasion: Occasion): Promise<void> => {
    let { seq } = occasion;
    for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
      // Somebody was faster: what was seen says nothing of what is the case since. A runner that was not there yet is not one that is gone.
      const since = await look(place, { ...occasion, ...(seq !== undefined && { seq }) });
      if (since === undefined) return;
      seq = since;
    }
    const message = `policy ${place.policy} went on between ${MOST_LOOKS} looks and their decisions`;
    throw new Fault({ code: 'COMMAND_CONTENDED', retry: 'now', message });
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
