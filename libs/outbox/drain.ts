// Delivers what is in the store, in order, one batch in flight, and never gives up on an unreachable other side.
//
// idle      nothing to send, or every record waits for its turn; a commit, a due lane or a nudge wakes it
// sending   one batch is with the sender; its records cannot be shed
// away      the other side could not be reached: the very same batch goes again after a wait; nothing is counted
// stopped   for good; what is left stays in the store for the next process
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { MAX_ATTEMPTS, refusedWaitMs, unreachableWaitMs } from './backoff.policy.ts';
import { takeBatch, type BatchLimits } from './batch.policy.ts';
import type { BufferedRecord, OutboxEvent, ParkedRecord, Refusal, Sender, SendOutcome } from './outbox.ts';
import { storageFault } from './storage-fault.ts';
import type { Settlement, Store } from './store.ts';
import { WakeUp } from './wake-up.ts';

/** How long to wait when the buffer's own file cannot be written. */
const STORAGE_WAIT_MS = 1000;

export interface DrainOptions {
  readonly store: Store;
  readonly sender: Sender;
  readonly limits: BatchLimits;
  readonly clock: Clock;
  readonly random: () => number;
  readonly observe: (event: OutboxEvent) => void;
  /** Stores a refused record where people look for it; may be called again for the same record. */
  readonly storeLetter: (parked: ParkedRecord) => Promise<void>;
  /** The store can no longer be used, or an invariant broke: end the process. */
  readonly onFatal: (error: unknown) => void;
}

export class Drain {
  readonly #options: DrainOptions;
  readonly #work: WakeUp;
  readonly #nudge: WakeUp;
  /** Lanes whose head was refused, and when it is due (monotonic ms). */
  readonly #blocked = new Map<string, number>();
  #batch: readonly BufferedRecord[] = [];
  #inFlight: ReadonlySet<number> = new Set();
  #failures = 0;
  #letterFailures = 0;
  #letterDueMs = 0;
  #isStopped = false;
  #isAbandoned = false;
  #emptyWaiters: (() => void)[] = [];
  readonly #settleWaiters = new Map<number, (() => void)[]>();
  readonly finished: Promise<void>;

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#work = new WakeUp(options.clock);
    this.#nudge = new WakeUp(options.clock);
    this.finished = this.#run().catch((error: unknown) => {
      this.#isStopped = true;
      options.onFatal(error);
    });
  }

  get failures(): number {
    return this.#failures;
  }

  isInFlight(sourceSeq: number): boolean {
    return this.#inFlight.has(sourceSeq);
  }

  /** There may be something to send. */
  wake(): void {
    this.#work.ring();
  }

  /** The other side may be back. */
  nudge(): void {
    this.#letterDueMs = 0;
    this.#nudge.ring();
    this.#work.ring();
  }

  /** A person put a record back: its lane need not wait. */
  release(): void {
    this.#blocked.clear();
    this.#work.ring();
  }

  /** Resolves when the record is delivered or parked; at once when it is already. */
  async settled(sourceSeq: number): Promise<void> {
    if (!this.#options.store.isPending(sourceSeq)) return;
    await new Promise<void>((resolve) => {
      this.#settleWaiters.set(sourceSeq, [...(this.#settleWaiters.get(sourceSeq) ?? []), resolve]);
    });
  }

  /** Resolves when nothing is pending. */
  async empty(): Promise<void> {
    if (this.#options.store.state.rows === 0) return;
    await new Promise<void>((resolve) => this.#emptyWaiters.push(resolve));
  }

  /** Ends after the batch in flight. */
  stop(): void {
    this.#isStopped = true;
    this.nudge();
  }

  /** Ends now: whatever the sender still answers is ignored, and the store is not touched again. */
  abandon(): void {
    this.#isAbandoned = true;
    this.stop();
  }

  async #run(): Promise<void> {
    // The first look waits for a turn, so that construction does not send.
    await Promise.resolve();
    while (!this.#isStopped) {
      try {
        await this.#step();
      } catch (error) {
        await this.#handle(error);
      }
    }
  }

  async #step(): Promise<void> {
    await this.#sendLetter();
    if (this.#batch.length === 0) this.#batch = this.#pick();
    if (this.#batch.length > 0) return this.#sendBatch();
    this.#announceEmpty();
    await this.#work.wait(this.#nextDueMs());
  }

  /** The disk is full, or another program holds the file: the batch goes again later (its ids tell the other side). */
  async #handle(error: unknown): Promise<void> {
    if (this.#isAbandoned) return;
    const fault = storageFault(error, 'delivery');
    if (error instanceof InvariantBroken || fault.retry === 'never') throw error;
    this.#options.observe({ kind: 'storage-failed', code: fault.code, message: fault.message });
    await this.#nudge.wait(STORAGE_WAIT_MS);
  }

  #pick(): readonly BufferedRecord[] {
    const { store, clock, limits, observe } = this.#options;
    const now = clock.monotonicMs();
    for (const [lane, dueMs] of this.#blocked) if (dueMs <= now) this.#blocked.delete(lane);
    const unreadable: { sourceSeq: number; problem: string }[] = [];
    const blocked = [...this.#blocked.keys()];
    const readable = function* (): Generator<BufferedRecord> {
      for (const reading of store.pending(blocked)) {
        if (reading.ok) yield reading.record;
        else unreadable.push(reading);
      }
    };
    const batch = takeBatch(readable(), limits);
    for (const { sourceSeq, problem } of unreadable) {
      store.parkUnreadable(sourceSeq, problem);
      observe({ kind: 'unreadable-row', sourceSeq, problem });
    }
    return batch;
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#batch;
    this.#inFlight = new Set(batch.map(({ sourceSeq }) => sourceSeq));
    const outcomes = await this.#send(batch);
    if (this.#isAbandoned) return;
    const unreachable = outcomes.find((outcome) => outcome.kind === 'unreachable');
    this.#settle(batch, outcomes);
    if (unreachable === undefined) {
      this.#batch = [];
      this.#inFlight = new Set();
      if (this.#failures > 0) this.#options.observe({ kind: 'reachable', afterFailures: this.#failures });
      this.#failures = 0;
      return;
    }
    // The rest of it goes again as it was: it may have been stored without our being told.
    this.#batch = batch.filter(
      (_, at) => outcomes[at]?.kind === 'unreachable' || outcomes[at]?.kind === 'held',
    );
    this.#inFlight = new Set(this.#batch.map(({ sourceSeq }) => sourceSeq));
    await this.#waitUnreachable(unreachable.message);
  }

  async #send(batch: readonly BufferedRecord[]): Promise<readonly SendOutcome[]> {
    const everywhere = (message: string): readonly SendOutcome[] =>
      batch.map(() => ({ kind: 'unreachable', message }));
    try {
      const outcomes = await this.#options.sender.send(batch);
      if (outcomes.length === batch.length) return outcomes;
      return everywhere(`the sender answered ${outcomes.length} outcomes to ${batch.length} records`);
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      return everywhere(toFault(error).message);
    }
  }

  #settle(batch: readonly BufferedRecord[], outcomes: readonly SendOutcome[]): void {
    const delivered: BufferedRecord[] = [];
    const refused: { record: BufferedRecord; attempts: number }[] = [];
    const parked: { record: BufferedRecord; refusal: Refusal }[] = [];
    batch.forEach((record, at) => {
      const outcome = outcomes[at];
      if (outcome?.kind === 'delivered') delivered.push(record);
      if (outcome?.kind !== 'refused') return;
      const { code, message } = outcome;
      const refusal = { code, message, attempts: record.attempts + 1 };
      if (refusal.attempts >= MAX_ATTEMPTS) parked.push({ record, refusal });
      else {
        refused.push({ record, attempts: refusal.attempts });
        this.#block(record, refusal);
      }
    });
    this.#write({ delivered, refused, parked });
    for (const { record, refusal } of parked)
      this.#options.observe({
        kind: 'parked',
        sourceSeq: record.sourceSeq,
        recordKind: record.kind,
        refusal,
      });
  }

  #write(settlement: Settlement): void {
    const { delivered, refused, parked } = settlement;
    if (delivered.length + refused.length + parked.length === 0) return;
    this.#options.store.settle(settlement);
    if (this.#settleWaiters.size === 0) return;
    for (const { sourceSeq } of [...delivered, ...parked.map(({ record }) => record)]) {
      for (const resolve of this.#settleWaiters.get(sourceSeq) ?? []) resolve();
      this.#settleWaiters.delete(sourceSeq);
    }
  }

  #block({ lane, sourceSeq, kind }: BufferedRecord, refusal: Refusal): void {
    const { clock, random, observe } = this.#options;
    const waitMs = refusedWaitMs(refusal.attempts, random());
    this.#blocked.set(lane, clock.monotonicMs() + waitMs);
    observe({ kind: 'refused', sourceSeq, recordKind: kind, refusal, waitMs });
  }

  async #waitUnreachable(message: string): Promise<void> {
    this.#failures += 1;
    const waitMs = unreachableWaitMs(this.#failures, this.#options.random());
    this.#options.observe({ kind: 'unreachable', message, failures: this.#failures, waitMs });
    if (!this.#isStopped) await this.#nudge.wait(waitMs);
  }

  /** Hands one parked record to the dead letters; while they are away, delivery goes on. */
  async #sendLetter(): Promise<void> {
    const { store, clock, random, storeLetter, observe } = this.#options;
    if (store.state.parked === 0 || clock.monotonicMs() < this.#letterDueMs) return;
    const parked = store.letterless();
    if (parked === undefined) return;
    const { sourceSeq } = parked.record;
    try {
      await storeLetter(parked);
      if (!this.#isAbandoned) store.letterStored(sourceSeq);
      this.#letterFailures = 0;
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      this.#letterFailures += 1;
      this.#letterDueMs = clock.monotonicMs() + unreachableWaitMs(this.#letterFailures, random());
      observe({ kind: 'letter-failed', sourceSeq, message: toFault(error).message });
    }
  }

  #nextDueMs(): number | undefined {
    const dues = [...this.#blocked.values()];
    if (this.#options.store.letterless() !== undefined) dues.push(this.#letterDueMs);
    return dues.length === 0 ? undefined : Math.max(0, Math.min(...dues) - this.#options.clock.monotonicMs());
  }

  #announceEmpty(): void {
    if (this.#options.store.state.rows > 0) return;
    const waiters = this.#emptyWaiters;
    this.#emptyWaiters = [];
    for (const resolve of waiters) resolve();
  }
}
