// The one loop of the system: takes batches from a work queue, decodes each entry, runs the handler in the entry's lane
// and acknowledges, retries or parks by the table in disposition.ts. At least once: a handler must be safe to repeat.
// Order: per lane within this process; an entry that waits for its retry holds its lane and only its lane. After a crash,
// or with several instances, entries may come late or twice, also on a prioritized queue (a preference, not a lock; a
// paused owner goes on after hand-over): so every write of a handler carries an expected sequence, revision or derived id.
// Memory: at most `maxInHand` entries, plus one batch that the queue fetches ahead. Does not count deliveries by itself:
// the durable consumer must be declared without a delivery limit.
//
// running   batches are taken while there is room; the entries in hand are extended before their ack wait runs out
// stopping  nothing is taken; what waits goes back to the queue at once, the rest is finished until the deadline
// stopped   what was not finished has been given back
// failed    an invariant broke or the queue is gone for good: what is in hand is neither acknowledged nor given back
//           (it comes again after the ack wait, in order), `onFatal` was called
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { CancelTimer } from '#libs/ports/clock.ts';
import type { Delivery } from '#libs/ports/work-queue.ts';
import { backoffDelayMs } from './backoff.ts';
import type { ConsumerEvent } from './consumer-event.ts';
import {
  CONSUMER_DEFAULTS,
  type ConsumerLimits,
  type ConsumerOptions,
  type ConsumerState,
  type RunningConsumer,
} from './consumer-options.ts';
import type { TryOutcome } from './disposition.ts';
import { createInHand, type HandlerContext, type InHand, type InHandContext } from './in-hand.ts';
import { createLaneGates, type LaneGates } from './lane-gate.ts';
import { createLanes, type Lanes } from './lanes.ts';

/** How long an entry that found its lane full stays away. */
const RETURN_MS = 1000;

class Consumer<Message> implements RunningConsumer {
  readonly name: string;
  readonly finished: Promise<void>;
  readonly #options: ConsumerOptions<Message>;
  readonly #limits: ConsumerLimits;
  readonly #observe: (event: ConsumerEvent) => void;
  readonly #lanes: Lanes<InHand>;
  readonly #gates: LaneGates;
  readonly #context: InHandContext;
  readonly #takeAtOnce: number;
  readonly #inHand = new Set<InHand>();
  readonly #seqs = new Set<number>();
  readonly #intakeEnds = new AbortController();
  readonly #handlersEnd = new AbortController();
  readonly #finish = Promise.withResolvers<void>();
  readonly #intakeDone: Promise<void>;
  #state: ConsumerState = 'running';
  #stopping: Promise<void> | undefined;
  #wakeIntake: (() => void) | undefined;
  #cancelSweep: CancelTimer | undefined;

  constructor(options: ConsumerOptions<Message>) {
    this.name = options.name;
    this.finished = this.#finish.promise;
    this.#options = options;
    this.#limits = { ...CONSUMER_DEFAULTS, ...options.limits };
    this.#takeAtOnce = Math.max(1, Math.floor(this.#limits.maxInHand / 2));
    this.#observe = options.observe ?? ((): void => undefined);
    this.#gates = createLaneGates(this.#limits.ackWaitMs + 2 * RETURN_MS);
    const onFatal = (error: unknown): void => this.#fail(error);
    this.#lanes = createLanes<InHand>({
      clock: options.clock,
      width: this.#limits.width,
      onAbandoned: (entries) => this.#release(entries),
      onDefect: onFatal,
    });
    this.#context = {
      name: options.name,
      service: options.service ?? options.name,
      stream: options.queue.stream,
      deadLetters: options.deadLetters,
      clock: options.clock,
      ids: options.ids,
      limits: this.#limits,
      observe: this.#observe,
      onFatal,
      isStopping: () => this.#state !== 'running',
      signal: this.#handlersEnd.signal,
      onSettled: (entry) => this.#settled(entry),
    };
    this.#intakeEnds.signal.addEventListener('abort', () => this.#wakeIntake?.(), { once: true });
    this.#intakeDone = this.#intake();
  }

  state(): ConsumerState {
    return this.#state;
  }

  inHand(): number {
    return this.#inHand.size;
  }

  drained(): Promise<void> {
    return this.#lanes.drained();
  }

  stop(drainMs = this.#limits.drainMs): Promise<void> {
    this.#stopping ??= this.#state === 'running' ? this.#drain(drainMs) : this.finished;
    return this.#stopping;
  }

  async #drain(drainMs: number): Promise<void> {
    this.#state = 'stopping';
    this.#intakeEnds.abort();
    this.#lanes.abandonWaiting();
    const deadline = Promise.withResolvers<void>();
    const cancelDeadline = this.#options.clock.timer(drainMs, deadline.resolve, { keepAlive: true });
    if (drainMs <= 0) deadline.resolve();
    await Promise.race([Promise.all([this.#intakeDone, this.#lanes.drained()]), deadline.promise]);
    cancelDeadline();
    if (this.#state !== 'stopping') return;
    this.#end();
    this.#state = 'stopped';
    this.#finish.resolve();
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed' || this.#state === 'stopped') return;
    this.#state = 'failed';
    this.#end();
    this.#observe({ kind: 'fatal', error });
    this.#options.onFatal(error);
    this.#finish.resolve();
  }

  #end(): void {
    this.#intakeEnds.abort();
    this.#handlersEnd.abort();
    this.#cancelSweep?.();
    this.#lanes.abandonIdle();
    this.#release([...this.#inHand]);
  }

  /** Lets go of entries: given back in stream order, or left alone when this process cannot be trusted any more. */
  #release(entries: readonly InHand[]): void {
    for (const entry of entries.toSorted((a, b) => a.delivery.entry.seq - b.delivery.entry.seq)) {
      if (this.#state === 'failed') entry.leave();
      else entry.giveBack(0);
    }
  }

  #settled(entry: InHand): void {
    this.#inHand.delete(entry);
    this.#seqs.delete(entry.delivery.entry.seq);
    if (this.#hasRoom()) this.#wakeIntake?.();
  }

  #hasRoom(): boolean {
    return this.#limits.maxInHand - this.#inHand.size >= this.#takeAtOnce;
  }

  async #intake(): Promise<void> {
    const { signal } = this.#intakeEnds;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#take(() => (failures = 0));
        if (signal.aborted) return;
        throw new Fault({ code: 'QUEUE_ENDED', retry: 'later', message: 'the queue ended its batches' });
      } catch (error) {
        const fault = toFault(error);
        if (fault.retry === 'never' || error instanceof InvariantBroken) return this.#fail(error);
        failures += 1;
        const waitMs = backoffDelayMs(this.#limits.backoff, failures, this.#options.ids.random());
        this.#observe({ kind: 'interrupted', fault, waitMs });
        await this.#options.clock.sleep(waitMs, signal);
      }
    }
  }

  async #take(onBatch: () => void): Promise<void> {
    const { queue, priority } = this.#options;
    const { signal } = this.#intakeEnds;
    const batches = queue.batches({
      max: this.#takeAtOnce,
      signal,
      ...(priority === undefined ? {} : { priority }),
    });
    for await (const batch of batches) {
      onBatch();
      this.#observe({ kind: 'received', count: batch.length, pending: batch.at(-1)?.pending ?? 0 });
      for (const delivery of batch) this.#accept(delivery);
      while (!this.#hasRoom() && !signal.aborted)
        await new Promise<void>((resolve) => {
          this.#wakeIntake = resolve;
        });
    }
  }

  #accept(delivery: Delivery): void {
    const { decode, lane, handle } = this.#options;
    const { entry } = delivery;
    if (this.#state === 'failed') return;
    if (this.#state !== 'running') return delivery.retry(0);
    // Delivered again while it waits here (the queue held it longer than the ack wait): the first one ends both.
    if (this.#seqs.has(entry.seq)) return;
    try {
      const message = decode(entry);
      if (message === undefined) {
        this.#observe({ kind: 'skipped', entry });
        return delivery.ack();
      }
      const key = lane(message, entry);
      const attempt = async (context: HandlerContext): Promise<TryOutcome> => ({
        kind: 'handled',
        result: await handle(message, context),
      });
      this.#join(key, createInHand(this.#context, delivery, attempt));
    } catch (error) {
      const outcome: TryOutcome = { kind: 'undecodable', error };
      this.#join(
        entry.subject,
        createInHand(this.#context, delivery, () => Promise.resolve(outcome)),
      );
    }
  }

  #join(key: string, entry: InHand): void {
    const { seq } = entry.delivery.entry;
    this.#inHand.add(entry);
    this.#seqs.add(seq);
    if (this.#cancelSweep === undefined) this.#scheduleSweep();
    const hasRoom = !this.#lanes.isWaiting(key) || this.#lanes.depth(key) < this.#limits.maxHeldInLane;
    const nowMs = (): number => this.#options.clock.monotonicMs();
    if (this.#gates.admit(key, { seq, nowMs, hasRoom })) this.#lanes.add(key, entry);
    else entry.giveBack(RETURN_MS);
  }

  /** Entries in hand keep their claim: each is extended well before its ack wait runs out. With empty hands nothing wakes the process. */
  #scheduleSweep(): void {
    this.#cancelSweep = this.#options.clock.timer(this.#limits.ackWaitMs / 3, () => {
      this.#cancelSweep = undefined;
      if (this.#inHand.size === 0) return;
      for (const entry of this.#inHand) entry.delivery.extend();
      this.#scheduleSweep();
    });
  }
}

/** Starts consuming at once. */
export const runConsumer = <Message>(options: ConsumerOptions<Message>): RunningConsumer =>
  new Consumer(options);
