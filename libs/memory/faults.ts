// What goes wrong on purpose: the switch "broker away", and a plan that is asked at each point where a broker can
// disappoint. A plan decides by counting or by a seed, never by the clock, so that the same seed is the same run.
import { Fault } from '#libs/kernel/fault.ts';
import { Bell, isAborted } from './bell.ts';
import { createRandom } from './prng.ts';

/** `nth` counts the questions of that kind from 1. Absent questions are answered "nothing goes wrong". */
export interface FaultPlan {
  /** The append or batch is lost on its way in: not stored, the caller sees `LOG_UNAVAILABLE`. */
  readonly dropAppend?: (nth: number) => boolean;
  /** The append or batch has been stored, its acknowledgement is lost: the caller sees `LOG_UNAVAILABLE`. */
  readonly loseAppendAck?: (nth: number) => boolean;
  /** The acknowledgement of an append comes this much later. */
  readonly appendAckDelayMs?: (nth: number) => number;
  /** The write to a bucket has been done, its acknowledgement is lost: the caller sees `KV_UNAVAILABLE`. */
  readonly loseWriteAck?: (nth: number) => boolean;
  /** The event reaches its watcher this much later; the events behind it wait too. */
  readonly watchDelayMs?: (nth: number) => number;
  /** The acknowledgement of a delivery gets lost: the entry comes again after the ack wait. */
  readonly loseDeliveryAck?: (nth: number) => boolean;
  /** The acknowledgement of a delivery is forgotten, as by a crash: the entry comes again at once, as attempt 1. */
  readonly forgetDeliveryAck?: (nth: number) => boolean;
  /** The answer to a request gets lost: the work was done, the caller sees `REQUEST_UNANSWERED`. */
  readonly loseAnswer?: (nth: number) => boolean;
}

type Question = keyof FaultPlan;

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

  /** Calls `resume` at every return of the broker. */
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

  happens(question: Exclude<Question, 'appendAckDelayMs' | 'watchDelayMs'>): boolean {
    const decide = this.#plan[question];
    return decide !== undefined && decide(this.#count(question));
  }

  delayMs(question: 'appendAckDelayMs' | 'watchDelayMs'): number {
    const decide = this.#plan[question];
    return decide === undefined ? 0 : decide(this.#count(question));
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
  readonly loseWriteAck?: number;
  readonly loseDeliveryAck?: number;
  readonly forgetDeliveryAck?: number;
  readonly loseAnswer?: number;
  readonly maxAppendAckDelayMs?: number;
  readonly maxWatchDelayMs?: number;
}

/** A plan in which each fault has its rate. Each kind draws from its own sequence: changing one rate leaves the others as they were. */
export const seededFaultPlan = (seed: number, rates: FaultRates): Required<FaultPlan> => {
  const chance = (label: string, rate = 0): (() => boolean) => {
    const random = createRandom(seed, label);
    return () => random() < rate;
  };
  const delay = (label: string, maxMs = 0): (() => number) => {
    const random = createRandom(seed, label);
    return () => Math.floor(random() * (maxMs + 1));
  };
  return {
    dropAppend: chance('dropAppend', rates.dropAppend),
    loseAppendAck: chance('loseAppendAck', rates.loseAppendAck),
    loseWriteAck: chance('loseWriteAck', rates.loseWriteAck),
    loseDeliveryAck: chance('loseDeliveryAck', rates.loseDeliveryAck),
    forgetDeliveryAck: chance('forgetDeliveryAck', rates.forgetDeliveryAck),
    loseAnswer: chance('loseAnswer', rates.loseAnswer),
    appendAckDelayMs: delay('appendAckDelayMs', rates.maxAppendAckDelayMs),
    watchDelayMs: delay('watchDelayMs', rates.maxWatchDelayMs),
  };
};
