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
import type {
  BufferedRecord,
  OutboxEvent,
  ParkedRecord,
  Refusal,
  Sender,
  SendOutcome,
  StoredMark,
} from './outbox.ts';
import { LetterCarrier } from './letter-carrier.ts';
import { storageFault } from './storage-fault.ts';
import type { Settlement, Store } from './store.ts';
import { Waiters } from './waiters.ts';
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
  readonly #letters: LetterCarrier;
  readonly #waiters: Waiters;
  readonly #work: WakeUp;
  readonly #nudge: WakeUp;
  /** Lanes whose head was refused, and when it is due (monotonic ms). */
  readonly #blocked = new Map<string, number>();
  #batch: readonly BufferedRecord[] = [];
  /** Whether the other side may have records that are still here, because an answer was lost, in this process or the one before. */
  #isInDoubt = true;
  #inFlight: ReadonlySet<number> = new Set();
  /** Until the other side was asked after a start: numbers of the process before, and those of them it may have been sending. */
  #earlierBelow: number;
  #doubtfulBelow: number;
  #failures = 0;
  #reason: string | null = null;
  #isStopped = false;
  readonly #abandoned = new AbortController();
  readonly finished: Promise<void>;

  constructor(options: DrainOptions) {
    const { store, sender, limits } = options;
    this.#options = options;
    this.#letters = new LetterCarrier({ ...options, isAbandoned: () => this.#abandoned.signal.aborted });
    this.#waiters = new Waiters(store);
    const isAsked = sender.lastStored !== undefined;
    this.#earlierBelow = isAsked ? store.state.nextSourceSeq : 0;
    this.#doubtfulBelow = store.frontEnd(limits.rows);
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

  /** Why the other side could not be reached; null: it answered last time. */
  get reason(): string | null {
    return this.#reason;
  }

  /** Whether it is on its way, or was when the process before ended. */
  isInFlight(sourceSeq: number): boolean {
    return this.#inFlight.has(sourceSeq) || sourceSeq < this.#doubtfulBelow;
  }

  /** Whether the other side can have it under its present id, by any accident (a power cut undoes deliveries). */
  mayBeStored(sourceSeq: number): boolean {
    return this.#inFlight.has(sourceSeq) || sourceSeq < this.#earlierBelow;
  }

  get waiters(): Waiters {
    return this.#waiters;
  }

  /** There may be something to send. */
  wake(): void {
    this.#work.ring();
  }

  /** The other side may be back. */
  nudge(): void {
    this.#letters.nudge();
    this.#nudge.ring();
    this.#work.ring();
  }

  /** A person put a record back: its lane need not wait. */
  release(): void {
    this.#blocked.clear();
    this.#work.ring();
  }

  /** Ends after the batch in flight. */
  stop(): void {
    this.#isStopped = true;
    this.nudge();
  }

  /** Ends now: whatever the sender still answers is ignored, and the store is not touched again. */
  abandon(): void {
    this.#abandoned.abort();
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
    await this.#letters.send();
    if (this.#isInDoubt && !(await this.#resolveDoubt())) return;
    if (this.#batch.length === 0) this.#batch = this.#pick();
    if (this.#batch.length > 0) {
      this.#doubtfulBelow = 0;
      return this.#sendBatch();
    }
    this.#waiters.announceEmpty();
    await this.#work.wait(this.#nextDueMs());
  }

  /**
   * The disk is full, or another program holds the file. What was sent may be stored there without our having taken note of it: the other side
   * is asked before it goes again, because its memory for ids may be shorter than this lasts.
   */
  async #handle(error: unknown): Promise<void> {
    if (this.#abandoned.signal.aborted) return;
    const fault = storageFault(error, 'delivery');
    if (error instanceof InvariantBroken || fault.retry === 'never') throw error;
    if (this.#inFlight.size > 0) this.#isInDoubt = true;
    this.#options.observe({ kind: 'storage-failed', code: fault.code, message: fault.message });
    await this.#nudge.wait(STORAGE_WAIT_MS);
  }

  /** Asks the other side what it has before anything is sent again. False: it cannot be asked now. */
  async #resolveDoubt(): Promise<boolean> {
    const { store, sender, observe } = this.#options;
    if (sender.lastStored !== undefined && store.state.rows > 0) {
      const marks = await this.#askLastStored();
      if (marks === undefined || this.#abandoned.signal.aborted) return false;
      const records = store.settleStored(marks);
      if (records > 0) observe({ kind: 'found-stored', records });
    }
    this.#isInDoubt = false;
    // Where nobody can be asked, what may have been sent stays until it goes again: that has to wait for the disk.
    if (sender.lastStored !== undefined) this.#doubtfulBelow = 0;
    this.#earlierBelow = 0;
    this.#batch = this.#batch.filter(({ sourceSeq }) => store.isPending(sourceSeq));
    this.#inFlight = new Set(this.#batch.map(({ sourceSeq }) => sourceSeq));
    this.#waiters.announceSettled();
    return true;
  }

  /** Undefined: it cannot be asked now. */
  async #askLastStored(): Promise<readonly StoredMark[] | undefined> {
    try {
      return (await this.#options.sender.lastStored?.()) ?? [];
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      await this.#waitUnreachable(toFault(error).message);
      return undefined;
    }
  }

  #pick(): readonly BufferedRecord[] {
    const { store, clock, limits, observe } = this.#options;
    const now = clock.monotonicMs();
    for (const [lane, dueMs] of this.#blocked) if (dueMs <= now) this.#blocked.delete(lane);
    store.setWaitingLanes([...this.#blocked.keys()]);
    const unreadable: { sourceSeq: number; problem: string }[] = [];
    const blocked = [...this.#blocked.keys()];
    const { syncedSeq } = store;
    const readable = function* (): Generator<BufferedRecord> {
      for (const reading of store.pending(blocked)) {
        // A number that the other side has must be on disk here: after a power cut it would be given again.
        if (reading.ok && reading.record.sourceSeq >= syncedSeq) return;
        if (reading.ok) yield reading.record;
        else unreadable.push(reading);
      }
    };
    const batch = takeBatch(readable(), limits);
    for (const { sourceSeq, problem } of unreadable) {
      store.parking.parkUnreadable(sourceSeq, problem);
      observe({ kind: 'unreadable-row', sourceSeq, problem });
    }
    return batch;
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#batch;
    this.#inFlight = new Set(batch.map(({ sourceSeq }) => sourceSeq));
    const outcomes = await this.#send(batch);
    if (this.#abandoned.signal.aborted) return;
    const unreachable = outcomes.find((outcome) => outcome.kind === 'unreachable');
    this.#settle(batch, outcomes);
    if (unreachable === undefined) {
      this.#batch = [];
      this.#inFlight = new Set();
      if (this.#failures > 0) this.#options.observe({ kind: 'reachable', afterFailures: this.#failures });
      this.#failures = 0;
      this.#reason = null;
      return;
    }
    // The rest of it goes again as it was, unless it turns out to have been stored without our being told.
    this.#isInDoubt = true;
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
      const outcomes = await this.#options.sender.send(batch, this.#abandoned.signal);
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
    this.#write({ delivered, refused, parked, waitingLanes: [...this.#blocked.keys()] });
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
    this.#waiters.announceSettled();
  }

  #block({ lane, sourceSeq, kind }: BufferedRecord, refusal: Refusal): void {
    const { clock, random, observe } = this.#options;
    const waitMs = refusedWaitMs(refusal.attempts, random());
    this.#blocked.set(lane, clock.monotonicMs() + waitMs);
    observe({ kind: 'refused', sourceSeq, recordKind: kind, refusal, waitMs });
  }

  async #waitUnreachable(message: string): Promise<void> {
    this.#failures += 1;
    this.#reason = message;
    const waitMs = unreachableWaitMs(this.#failures, this.#options.random());
    this.#options.observe({ kind: 'unreachable', message, failures: this.#failures, waitMs });
    if (!this.#isStopped) await this.#nudge.wait(waitMs);
  }

  #nextDueMs(): number | undefined {
    const dues = [...this.#blocked.values()];
    const letterDueMs = this.#letters.dueMs();
    if (letterDueMs !== undefined) dues.push(letterDueMs);
    return dues.length === 0 ? undefined : Math.max(0, Math.min(...dues) - this.#options.clock.monotonicMs());
  }
}
