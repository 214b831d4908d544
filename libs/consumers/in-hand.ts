// One entry in hand: runs its handler, looks the outcome up in disposition.ts and carries it out. Ends in exactly one of
// acknowledged, parked, given back, or left alone (a broken invariant). Knows nothing of lanes and of other entries.
//
// fresh → (run) → acknowledged | again (at once) | waiting → (run) … | parking → parked | parking (waits, tries again) | left alone
// `giveBack` ends it from every state; what a handler that still runs answers afterwards is ignored.
import { toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { Delivery } from '#libs/ports/work-queue.ts';
import { type BackoffPolicy, backoffDelayMs } from './backoff.ts';
import type { ConsumerEvent } from './consumer-event.ts';
import type { DeadLetters } from './dead-letters.ts';
import {
  type Disposition,
  disposition,
  type Handled,
  type ParkReason,
  type TryLimits,
  type TryOutcome,
} from './disposition.ts';
import type { Job, Step } from './lanes.ts';

/** What a handler is told besides the message. */
export interface HandlerContext {
  readonly entry: StoredEntry;
  /** Runs of the handler for this entry in this process, from 1. */
  readonly run: number;
  /** Deliveries by the queue, from 1; not to be trusted after a crash of the broker. */
  readonly delivery: number;
  /** Aborts when the drain deadline has passed: what is still done then is done again elsewhere. */
  readonly signal: AbortSignal;
}

/** What all entries of one consumer share. */
export interface InHandContext {
  readonly name: string;
  readonly service: string;
  readonly stream: string;
  readonly deadLetters: DeadLetters;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly limits: TryLimits & { readonly backoff: BackoffPolicy };
  readonly observe: (event: ConsumerEvent) => void;
  readonly onFatal: (error: unknown) => void;
  /** While the consumer stops, an entry that would wait is given back instead. */
  readonly isStopping: () => boolean;
  readonly signal: AbortSignal;
  /** The entry has left the hand. */
  readonly onSettled: (entry: InHand) => void;
}

export interface InHand extends Job {
  readonly delivery: Delivery;
  /** Back to the queue, to be handed out again after `delayMs`. Harmless when it has ended. */
  giveBack(delayMs: number): void;
  /** Ends it without a word to the queue: it comes again after the ack wait. */
  leave(): void;
}

interface Parking {
  readonly reason: ParkReason;
  readonly error: unknown;
}

class Held implements InHand {
  readonly delivery: Delivery;
  readonly #context: InHandContext;
  readonly #attempt: (handler: HandlerContext) => Promise<TryOutcome>;
  #settled = false;
  #runs = 0;
  #counted = 0;
  #waits = 0;
  #parking: Parking | undefined;

  constructor(
    context: InHandContext,
    delivery: Delivery,
    attempt: (handler: HandlerContext) => Promise<TryOutcome>,
  ) {
    this.#context = context;
    this.delivery = delivery;
    this.#attempt = attempt;
  }

  async run(): Promise<Step> {
    if (this.#settled) return 'done';
    return this.#parking === undefined ? this.#tries() : this.#park(this.#parking);
  }

  giveBack(delayMs: number): void {
    if (this.#settled) return;
    this.#context.observe({ kind: 'given-back', entry: this.delivery.entry });
    this.#settle(() => this.delivery.retry(delayMs));
  }

  leave(): void {
    this.#settle();
  }

  #settle(end?: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    end?.();
    this.#context.onSettled(this);
  }

  /** Runs the handler until its outcome is not "again at once". */
  async #tries(): Promise<Step> {
    const { clock, limits } = this.#context;
    for (let inARow = 1; ; inARow += 1) {
      const startedMs = clock.monotonicMs();
      const outcome = await this.#runOnce();
      if (this.#settled) return 'done';
      if (outcome.kind === 'handled') return this.#acknowledge(outcome.result, startedMs);
      const tries = { deliveries: this.delivery.attempt, inARow, counted: this.#counted };
      const next = disposition(outcome, tries, limits);
      if (next.kind !== 'again') return this.#carryOut(next, outcome.error);
    }
  }

  async #runOnce(): Promise<TryOutcome> {
    this.#runs += 1;
    const { entry, attempt } = this.delivery;
    try {
      return await this.#attempt({
        entry,
        run: this.#runs,
        delivery: attempt,
        signal: this.#context.signal,
      });
    } catch (error) {
      return { kind: 'failed', error };
    }
  }

  async #carryOut(next: Disposition, error: unknown): Promise<Step> {
    if (next.kind === 'fatal') {
      // Not acknowledged and not given back: it comes again after the ack wait, to a process that can be trusted.
      this.leave();
      this.#context.onFatal(error);
      return 'abandon';
    }
    if (next.kind === 'park') {
      this.#parking = { reason: next.reason, error };
      return this.#park(this.#parking);
    }
    const counts = next.kind === 'wait' && next.counts;
    if (counts) this.#counted += 1;
    const step = this.#wait();
    const waitMs = typeof step === 'object' ? step.waitMs : 0;
    this.#context.observe({
      kind: 'retrying',
      entry: this.delivery.entry,
      fault: toFault(error),
      waitMs,
      counts,
    });
    return step;
  }

  #acknowledge(result: Handled, startedMs: number): Step {
    const { observe, clock } = this.#context;
    const durationMs = clock.monotonicMs() - startedMs;
    observe({ kind: 'handled', entry: this.delivery.entry, result, durationMs, runs: this.#runs });
    this.#settle(() => this.delivery.ack());
    return 'done';
  }

  #wait(): Step {
    const { isStopping, limits, ids } = this.#context;
    if (isStopping()) return 'abandon';
    this.#waits += 1;
    return { waitMs: backoffDelayMs(limits.backoff, this.#waits, ids.random()) };
  }

  async #park({ reason, error }: Parking): Promise<Step> {
    const { observe, deadLetters, stream, name, service, clock } = this.#context;
    const { entry, attempt } = this.delivery;
    const fault = toFault(error);
    const { code, message } = fault;
    const attempts = Math.max(this.#runs, attempt);
    try {
      const origin = { stream, consumer: name, service, entry };
      const { seq } = await deadLetters.park({
        ...origin,
        reason,
        code,
        message,
        attempts,
        parkedAt: clock.now(),
      });
      observe({ kind: 'parked', entry, reason, fault, letterSeq: seq });
      this.#settle(() => this.delivery.terminate(`${reason}: ${code}`));
      return 'done';
    } catch (parkError) {
      // Whatever the reason (broker away, stream missing): without a letter the evidence would be gone, so the entry stays.
      observe({ kind: 'park-failed', entry, fault: toFault(parkError) });
      return this.#settled ? 'done' : this.#wait();
    }
  }
}

/** `attempt` runs the handler once; what it throws is a failed try. */
export const createInHand = (
  context: InHandContext,
  delivery: Delivery,
  attempt: (handler: HandlerContext) => Promise<TryOutcome>,
): InHand => new Held(context, delivery, attempt);
