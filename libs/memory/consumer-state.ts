// A durable consumer of the memory broker: what has been handed out, what comes again and when, and who is taking.
// An entry is in one of these states, seen from its consumer:
//   pending → handed out → done                    (acknowledged, terminated, or given up after too many deliveries)
//             handed out → waiting → handed out    (retry asked for; ack wait over; given back; acknowledgement forgotten)
// Handed out and waiting entries count against the consumer's limit. State survives its takers. Redelivery goes first.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { Bell } from './bell.ts';
import type { ConsumerShape } from './definitions.ts';
import type { FaultSwitch } from './faults.ts';
import type { StreamStore } from './stream-store.ts';
import { createSubjectMatcher } from './subject-match.ts';
import { WaitingEntries } from './waiting-entries.ts';

const DEFAULT_ACK_WAIT_MS = 30_000;
const DEFAULT_MAX_ACK_PENDING = 1_000;
const MOST_LOST_ACKS = 1_000;

/** An entry on its way to a taker. */
export interface HandOut {
  readonly entry: StoredEntry;
  readonly attempt: number;
  readonly pending: number;
}

/** One who takes: has a request open as long as it holds fewer than `max` entries that it has not passed on. */
export interface Taker {
  readonly max: number;
  readonly priority: number;
  readonly bell: Bell;
  held: HandOut[];
}

interface OutState {
  readonly attempt: number;
  readonly deadlineMs: number;
}

export class ConsumerState {
  readonly #shape: ConsumerShape;
  readonly #store: StreamStore;
  readonly #clock: Clock;
  readonly #faults: FaultSwitch;
  readonly #isWanted: (subject: string) => boolean;
  /** Handed out, in the order of their deadlines, because the ack wait is one and the same for all. */
  readonly #out = new Map<number, OutState>();
  readonly #waiting = new WaitingEntries();
  #takers: Taker[] = [];
  /** The newest acknowledgements, which a crash may take back. */
  #acked: number[] = [];
  #nextSeq: number;
  #pending = 0;
  #cancelDeadline: CancelTimer | undefined;

  constructor(shape: ConsumerShape, store: StreamStore, parts: { clock: Clock; faults: FaultSwitch }) {
    this.#shape = shape;
    this.#store = store;
    this.#clock = parts.clock;
    this.#faults = parts.faults;
    this.#isWanted = createSubjectMatcher(shape.filterSubjects);
    this.#nextSeq = shape.deliver === 'new' ? store.lastSeq + 1 : store.firstSeq;
    for (let seq = this.#nextSeq; seq <= store.lastSeq; seq += 1) {
      const entry = store.get(seq);
      if (entry !== undefined && this.#isWanted(entry.subject)) this.#pending += 1;
    }
    store.listen({
      stored: (entry) => {
        if (!this.#isWanted(entry.subject)) return;
        this.#pending += 1;
        this.pump();
      },
      removed: (entry) => {
        if (entry.seq >= this.#nextSeq && this.#isWanted(entry.subject)) this.#pending -= 1;
      },
    });
    parts.faults.onReturn(() => this.pump());
    parts.faults.onCrash((lostAcks) => this.#forgetAcks(lostAcks));
  }

  backlog(): { readonly pending: number; readonly unacknowledged: number } {
    return { pending: this.#pending, unacknowledged: this.#out.size + this.#waiting.size };
  }

  join(options: { readonly max: number; readonly priority?: number }): Taker {
    const taker: Taker = { max: options.max, priority: options.priority ?? 0, bell: new Bell(), held: [] };
    this.#takers.push(taker);
    this.pump();
    return taker;
  }

  /** Gives back at once what the taker has not passed on. */
  leave(taker: Taker): void {
    this.#takers = this.#takers.filter((other) => other !== taker);
    const { held } = taker;
    taker.held = [];
    for (const { entry, attempt } of held) this.retry(entry.seq, attempt, 0);
  }

  ack(seq: number): void {
    if (this.#isLost('loseDeliveryAck')) return;
    const isForgotten = this.#faults.happens('forgetDeliveryAck', this.#shape);
    this.#finish(seq);
    this.#acked.push(seq);
    if (this.#acked.length > 2 * MOST_LOST_ACKS) this.#acked = this.#acked.slice(-MOST_LOST_ACKS);
    if (isForgotten) this.#waiting.makeDue(seq, 0);
    this.pump();
  }

  terminate(seq: number): void {
    if (this.#isLost('loseDeliveryAck')) return;
    this.#finish(seq);
    this.pump();
  }

  retry(seq: number, attempt: number, delayMs: number): void {
    if (this.#faults.isAway || this.#out.get(seq)?.attempt !== attempt) return;
    this.#out.delete(seq);
    if (delayMs <= 0) this.#waiting.makeDue(seq, attempt);
    else {
      this.#waiting.add(seq, attempt);
      this.#clock.timer(delayMs, () => {
        if (this.#waiting.attemptsOf(seq) !== attempt) return;
        this.#waiting.makeDue(seq, attempt);
        this.pump();
      });
    }
    this.pump();
  }

  extend(seq: number, attempt: number): void {
    if (this.#faults.isAway || this.#out.get(seq)?.attempt !== attempt) return;
    this.#out.delete(seq);
    this.#handedOut(seq, attempt);
  }

  /** Hands out as much as limits and open requests allow. */
  pump(): void {
    while (!this.#faults.isAway) {
      const taker = this.#nextTaker();
      if (taker === undefined) return;
      const next = this.#nextDue() ?? this.#nextNew();
      if (next === undefined) return;
      this.#handedOut(next.entry.seq, next.attempt);
      taker.held.push({ ...next, pending: this.#pending });
      taker.bell.ring();
    }
  }

  #forgetAcks(lostAcks: number): void {
    const kept = this.#acked.slice(-MOST_LOST_ACKS);
    const lost = new Set(lostAcks > 0 ? kept.slice(-lostAcks) : []);
    for (const seq of lost) if (!this.#out.has(seq)) this.#waiting.makeDue(seq, 0);
    this.#acked = [];
    this.pump();
  }

  #isLost(question: 'loseDeliveryAck'): boolean {
    return this.#faults.isAway || this.#faults.happens(question, this.#shape);
  }

  #finish(seq: number): void {
    this.#out.delete(seq);
    this.#waiting.delete(seq);
  }

  #nextTaker(): Taker | undefined {
    let chosen: Taker | undefined;
    for (const taker of this.#takers) {
      if (taker.held.length >= taker.max) continue;
      if (
        chosen === undefined ||
        (this.#shape.priorityGroup !== undefined && taker.priority < chosen.priority)
      )
        chosen = taker;
    }
    if (chosen === undefined || this.#takers.length === 1) return chosen;
    this.#takers = [...this.#takers.filter((other) => other !== chosen), chosen];
    return chosen;
  }

  #nextDue(): { entry: StoredEntry; attempt: number } | undefined {
    const most = this.#shape.maxDeliver ?? Number.POSITIVE_INFINITY;
    for (let due = this.#waiting.takeDue(); due !== undefined; due = this.#waiting.takeDue()) {
      const entry = this.#store.get(due.seq);
      if (entry !== undefined && due.attempts < most) return { entry, attempt: due.attempts + 1 };
    }
    return undefined;
  }

  #nextNew(): { entry: StoredEntry; attempt: number } | undefined {
    const limit = this.#shape.maxAckPending ?? DEFAULT_MAX_ACK_PENDING;
    if (this.#pending === 0 || this.#out.size + this.#waiting.size >= limit) return undefined;
    this.#nextSeq = Math.max(this.#nextSeq, this.#store.firstSeq);
    while (this.#nextSeq <= this.#store.lastSeq) {
      const entry = this.#store.get(this.#nextSeq);
      this.#nextSeq += 1;
      if (entry === undefined || !this.#isWanted(entry.subject)) continue;
      this.#pending -= 1;
      return { entry, attempt: 1 };
    }
    return undefined;
  }

  #handedOut(seq: number, attempt: number): void {
    const deadlineMs = this.#clock.monotonicMs() + (this.#shape.ackWaitMs ?? DEFAULT_ACK_WAIT_MS);
    this.#out.set(seq, { attempt, deadlineMs });
    if (this.#cancelDeadline === undefined) this.#watchDeadlines();
  }

  /** One timer for all: set for the first deadline, and again for what is first by then. */
  #watchDeadlines(): void {
    this.#cancelDeadline = undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const [seq, { attempt, deadlineMs }] of this.#out) {
      if (deadlineMs > nowMs) {
        this.#cancelDeadline = this.#clock.timer(deadlineMs - nowMs, () => {
          this.#watchDeadlines();
          this.pump();
        });
        return;
      }
      this.#out.delete(seq);
      this.#waiting.makeDue(seq, attempt);
    }
  }
}
