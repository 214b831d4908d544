// What goes wrong on purpose: the switch "broker away", and a plan that is asked at each point where a broker can
// disappoint. A plan decides by counting or by a seed, never by the clock, so that the same seed is the same run.
import { Fault } from '#libs/kernel/fault.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import { Bell, isAborted } from './bell.ts';
import { createRandom } from './prng.ts';

/** Where a fault may happen: a stream, bucket, consumer or subject by its name; for an append also its first entry. */
export interface FaultPlace {
  readonly name: string;
  readonly entry?: Pick<NewEntry, 'subject' | 'headers'>;
}

type Chance = (nth: number, place: FaultPlace) => boolean;
type Delay = (nth: number, place: FaultPlace) => number;

/** `nth` counts the questions of that kind from 1. Absent questions are answered "nothing goes wrong". */
export interface FaultPlan {
  /** The append or batch is lost on its way in: not stored, the caller sees `LOG_UNAVAILABLE`. */
  readonly dropAppend?: Chance;
  /** The append or batch has been stored, its acknowledgement is lost: the caller sees `LOG_UNAVAILABLE`. */
  readonly loseAppendAck?: Chance;
  /** The acknowledgement of an append comes this much later. */
  readonly appendAckDelayMs?: Delay;
  /** The entry reaches one who follows the log this much later; what is behind it waits too. */
  readonly replayDelayMs?: Delay;
  /** The write to a bucket is lost on its way in: not done, the caller sees `KV_UNAVAILABLE`. */
  readonly dropWrite?: Chance;
  /** The write to a bucket has been done, its acknowledgement is lost: the caller sees `KV_UNAVAILABLE`. */
  readonly loseWriteAck?: Chance;
  /** A bucket or log that is read does not answer: `KV_UNAVAILABLE` or `LOG_UNAVAILABLE`. */
  readonly failRead?: Chance;
  /** The answer of a bucket or log that is read comes this much later: it says what was the case at the question. */
  readonly readDelayMs?: Delay;
  /** The event reaches its watcher this much later; the events behind it wait too. */
  readonly watchDelayMs?: Delay;
  /** A batch of a consumer reaches its taker this much later; what is behind it waits too. */
  readonly deliveryDelayMs?: Delay;
  /** The acknowledgement of a delivery gets lost: the entry comes again after the ack wait. */
  readonly loseDeliveryAck?: Chance;
  /** The acknowledgement of a delivery is forgotten, as by a crash: the entry comes again at once, as attempt 1. */
  readonly forgetDeliveryAck?: Chance;
  /** The request gets lost on its way in: nothing is done, the caller sees `REQUEST_UNANSWERED`. */
  readonly dropRequest?: Chance;
  /** The request reaches its server this much later. */
  readonly requestDelayMs?: Delay;
  /** The request reaches its server, or another one of the group, a second time as well; the first answer counts. */
  readonly repeatRequest?: Chance;
  /** The answer to a request gets lost: the work was done, the caller sees `REQUEST_UNANSWERED`. */
  readonly loseAnswer?: Chance;
}

type Question = keyof FaultPlan;
type DelayQuestion = Extract<Question, `${string}DelayMs`>;
type ChanceQuestion = Exclude<Question, DelayQuestion>;

/** The faults of one memory broker. */
export interface BrokerFaults {
  /** Replaces the plan; counting starts again. `{}` ends all planned faults. */
  plan(plan: FaultPlan): void;
  /** From now on every call faults as unreachable, watches and deliveries pause, acknowledgements are lost. */
  goAway(): void;
  /** The broker is reachable again; watches, replays and deliveries go on where they were. */
  comeBack(): void;
  /** Every consumer forgets its last `lostAcks` acknowledgements (at most 1,000), as a broker that was killed does: those entries come again as attempt 1. */
  crash(lostAcks: number): void;
  /** Calls `tell` whenever something goes wrong by the plan; a delay of 0 ms is none. */
  onFault(tell: (question: Question, place: FaultPlace) => void): void;
  /** Calls `resume` at every return of the broker. */
  onReturn(resume: () => void): void;
  readonly isAway: boolean;
}

/** The side of {@link BrokerFaults} that the ports of this folder ask. */
export class FaultSwitch implements BrokerFaults {
  /** Rings when the broker goes away or comes back. */
  readonly changed = new Bell();
  #plan: FaultPlan = {};
  #asked = new Map<Question, number>();
  #onReturn: (() => void)[] = [];
  #onCrash: ((lostAcks: number) => void)[] = [];
  #onFault: ((question: Question, place: FaultPlace) => void)[] = [];
  #away = false;

  get isAway(): boolean {
    return this.#away;
  }

  plan(plan: FaultPlan): void {
    this.#plan = plan;
    this.#asked = new Map();
  }

  goAway(): void {
    this.#away = true;
    this.changed.ring();
  }

  comeBack(): void {
    this.#away = false;
    this.changed.ring();
    for (const resume of this.#onReturn) resume();
  }

  crash(lostAcks: number): void {
    for (const forget of this.#onCrash) forget(lostAcks);
  }

  onCrash(forget: (lostAcks: number) => void): void {
    this.#onCrash.push(forget);
  }

  onFault(tell: (question: Question, place: FaultPlace) => void): void {
    this.#onFault.push(tell);
  }

  onReturn(resume: () => void): void {
    this.#onReturn.push(resume);
  }

  /** Resolves once the broker is reachable, or when `signal` aborts. */
  async reachable(signal?: AbortSignal): Promise<void> {
    while (this.#away && !isAborted(signal)) await this.changed.wait(signal);
  }

  /** Throws the fault of an unreachable broker while it is away. */
  check(code: string): void {
    if (this.#away) throw unreachableBroker(code);
  }

  happens(question: ChanceQuestion, place: FaultPlace): boolean {
    const decide = this.#plan[question];
    if (decide === undefined || !decide(this.#count(question), place)) return false;
    for (const tell of this.#onFault) tell(question, place);
    return true;
  }

  delayMs(question: DelayQuestion, place: FaultPlace): number {
    const decide = this.#plan[question];
    const delayMs = decide === undefined ? 0 : decide(this.#count(question), place);
    if (delayMs > 0) for (const tell of this.#onFault) tell(question, place);
    return delayMs;
  }

  #count(question: Question): number {
    const nth = (this.#asked.get(question) ?? 0) + 1;
    this.#asked.set(question, nth);
    return nth;
  }
}

/** The fault of a broker that cannot be reached; whether the work was done is unknown to the caller. */
export const unreachableBroker = (code: string): Fault =>
  new Fault({ code, retry: 'later', message: 'the memory broker is away' });

/** How often each fault happens, 0 to 1, and the longest delays. */
export interface FaultRates {
  readonly dropAppend?: number;
  readonly loseAppendAck?: number;
  readonly dropWrite?: number;
  readonly loseWriteAck?: number;
  readonly failRead?: number;
  readonly loseDeliveryAck?: number;
  readonly forgetDeliveryAck?: number;
  readonly dropRequest?: number;
  readonly repeatRequest?: number;
  readonly loseAnswer?: number;
  readonly maxAppendAckDelayMs?: number;
  readonly maxReadDelayMs?: number;
  readonly maxReplayDelayMs?: number;
  readonly maxWatchDelayMs?: number;
  readonly maxDeliveryDelayMs?: number;
  readonly maxRequestDelayMs?: number;
  /** The share of what may be late that is: 0 to 1; default 1. */
  readonly delayed?: number;
}

/** A plan in which each fault has its rate. Each kind draws from its own sequence: changing one rate leaves the others as they were. */
export const seededFaultPlan = (seed: number, rates: FaultRates): FaultPlan => {
  const { delayed = 1 } = rates;
  const plan: { -readonly [Name in Question]?: FaultPlan[Name] } = {};
  const chance = (label: ChanceQuestion, rate = 0): void => {
    if (rate === 0) return;
    const random = createRandom(seed, label);
    plan[label] = () => random() < rate;
  };
  const delay = (label: DelayQuestion, maxMs = 0): void => {
    if (maxMs === 0) return;
    const random = createRandom(seed, label);
    plan[label] = () => (delayed < 1 && random() >= delayed ? 0 : Math.floor(random() * (maxMs + 1)));
  };
  chance('dropAppend', rates.dropAppend);
  chance('loseAppendAck', rates.loseAppendAck);
  chance('dropWrite', rates.dropWrite);
  chance('loseWriteAck', rates.loseWriteAck);
  chance('failRead', rates.failRead);
  chance('loseDeliveryAck', rates.loseDeliveryAck);
  chance('forgetDeliveryAck', rates.forgetDeliveryAck);
  chance('dropRequest', rates.dropRequest);
  chance('repeatRequest', rates.repeatRequest);
  chance('loseAnswer', rates.loseAnswer);
  delay('appendAckDelayMs', rates.maxAppendAckDelayMs);
  delay('readDelayMs', rates.maxReadDelayMs);
  delay('replayDelayMs', rates.maxReplayDelayMs);
  delay('watchDelayMs', rates.maxWatchDelayMs);
  delay('deliveryDelayMs', rates.maxDeliveryDelayMs);
  delay('requestDelayMs', rates.maxRequestDelayMs);
  return plan;
};
