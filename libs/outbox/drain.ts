// Delivers what is in the store, in order, one batch in flight, and never gives up on an unreachable other side.
//
// idle      nothing to send, or every record waits for its turn; a commit, a due lane or a nudge wakes it
// sending   one batch is with the sender; its records cannot be shed
// away      the other side could not be reached: the very same batch goes again after a wait; nothing is counted
// stopped   for good; what is left stays in the store for the next process
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { refusedWaitMs } from './backoff.policy.ts';
import type { BatchLimits } from './batch.policy.ts';
import { Contact } from './contact.ts';
import { InDoubt } from './in-doubt.ts';
import { LaneWaits } from './lane-waits.ts';
import { LetterCarrier } from './letter-carrier.ts';
import { nextBatch } from './next-batch.ts';
import type { BufferedRecord, OutboxEvent, ParkedRecord, Sender, SendOutcome, StoredMark } from './outbox.ts';
import { verdictOf, type Verdict } from './settlement.policy.ts';
import { storageFault } from './storage-fault.ts';
import type { Store } from './store.ts';
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
  readonly #contact: Contact;
  readonly #lanes: LaneWaits;
  readonly #doubt: InDoubt;
  #batch: readonly BufferedRecord[] = [];
  #isStopped = false;
  readonly #abandoned = new AbortController();
  readonly finished: Promise<void>;

  constructor(options: DrainOptions) {
    const { store, clock } = options;
    this.#options = options;
    this.#letters = new LetterCarrier({ ...options, isAbandoned: () => this.#isAbandoned });
    this.#waiters = new Waiters(store);
    this.#lanes = new LaneWaits(clock);
    this.#doubt = new InDoubt(options);
    this.#work = new WakeUp(clock);
    this.#contact = new Contact(options);
    this.finished = this.#run().catch((error: unknown) => {
      this.#isStopped = true;
      options.onFatal(error);
    });
  }

  get contact(): Pick<Contact, 'failures' | 'reason'> {
    return this.#contact;
  }

  get doubt(): Pick<InDoubt, 'isInFlight' | 'mayBeStored'> {
    return this.#doubt;
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
    this.#contact.nudge();
    this.#work.ring();
  }

  /** A person put a record back: its lane need not wait. */
  release(): void {
    this.#lanes.clear();
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

  get #isAbandoned(): boolean {
    return this.#abandoned.signal.aborted;
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
    if (this.#doubt.is && !(await this.#resolveDoubt())) return;
    if (this.#batch.length === 0) this.#batch = this.#pick();
    if (this.#batch.length > 0) return this.#sendBatch();
    this.#waiters.announceEmpty();
    await this.#work.wait(this.#nextDueMs());
  }

  /**
   * The disk is full, or another program holds the file. What was sent may be stored there without our having taken note of it: the other side
   * is asked before it goes again, because its memory for ids may be shorter than this lasts.
   */
  async #handle(error: unknown): Promise<void> {
    if (this.#isAbandoned) return;
    const fault = storageFault(error, 'delivery');
    if (error instanceof InvariantBroken || fault.retry === 'never') throw error;
    this.#doubt.unsettled();
    this.#options.observe({ kind: 'storage-failed', code: fault.code, message: fault.message });
    await this.#contact.wait(STORAGE_WAIT_MS);
  }

  /** Asks the other side what it has before anything is sent again. False: it cannot be asked now. */
  async #resolveDoubt(): Promise<boolean> {
    let marks: readonly StoredMark[];
    try {
      marks = await this.#doubt.ask();
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      await this.#waitUnreachable(toFault(error).message);
      return false;
    }
    if (this.#isAbandoned) return false;
    this.#batch = this.#doubt.settle(marks, this.#batch);
    this.#waiters.announceSettled();
    return true;
  }

  #pick(): readonly BufferedRecord[] {
    this.#lanes.letGo();
    return nextBatch(this.#options, this.#lanes.lanes);
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#batch;
    this.#doubt.sending(batch);
    const outcomes = await this.#send(batch);
    if (this.#isAbandoned) return;
    const verdict = verdictOf(batch, outcomes);
    this.#settle(verdict);
    if (verdict.unreachable === undefined) {
      this.#batch = [];
      this.#doubt.landed();
      this.#contact.answered();
      return;
    }
    // The rest of it goes again as it was, unless it turns out to have been stored without our being told.
    this.#batch = verdict.kept;
    this.#doubt.lost(verdict.kept);
    await this.#waitUnreachable(verdict.unreachable);
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

  #settle({ delivered, refused, parked }: Verdict): void {
    if (delivered.length + refused.length + parked.length === 0) return;
    const { store, random, observe } = this.#options;
    for (const { record, refusal } of refused) {
      const { lane, sourceSeq, kind: recordKind } = record;
      const waitMs = refusedWaitMs(refusal.attempts, random());
      this.#lanes.hold(lane, waitMs);
      observe({ kind: 'refused', sourceSeq, recordKind, refusal, waitMs });
    }
    const attempts = refused.map(({ record, refusal }) => ({ record, attempts: refusal.attempts }));
    store.settle({ delivered, parked, refused: attempts, waitingLanes: this.#lanes.lanes });
    this.#waiters.announceSettled();
    for (const { record, refusal } of parked) {
      const { sourceSeq, kind: recordKind } = record;
      observe({ kind: 'parked', sourceSeq, recordKind, refusal });
    }
  }

  async #waitUnreachable(message: string): Promise<void> {
    const waitMs = this.#contact.failed(message);
    if (!this.#isStopped) await this.#contact.wait(waitMs);
  }

  #nextDueMs(): number | undefined {
    const dues = [this.#lanes.dueMs(), this.#letters.dueMs()].filter((due) => due !== undefined);
    return dues.length === 0 ? undefined : Math.max(0, Math.min(...dues) - this.#options.clock.monotonicMs());
  }
}
