// Group commit: changes that are asked for together share one transaction and one sync of the disk. Order of calls is order of
// numbers. Keeps the budget: what is over it sheds the least worthy records and says so in a gap record, in the same transaction.
import { Fault } from '#libs/kernel/fault.ts';
import { raiseCeiling, readCeiling } from './ceiling.ts';
import type { Certainty, Change, Enqueued, Gap, NewRecord, OutboxEvent } from './outbox.ts';
import { chooseVictims, gapsOf, isFull, isOver, type Budget, type Candidate } from './shed.policy.ts';
import { isCorrupt, storageFault } from './storage-fault.ts';
import type { InsertTransaction } from './inserts.ts';
import type { Store } from './store.ts';
import { markSuspect } from './database.ts';

export interface WriterOptions {
  readonly store: Store;
  readonly base: string;
  readonly budget: Budget;
  readonly gapRecord: (gap: Gap) => NewRecord;
  readonly now: () => number;
  readonly makeId: () => string;
  /** Whether a record is on its way: it can be delivered at any moment and so cannot be shed. */
  readonly isInFlight: (sourceSeq: number) => boolean;
  /** Whether the other side can have a record already: then none takes its place. */
  readonly mayBeStored: (sourceSeq: number) => boolean;
  readonly observe: (event: OutboxEvent) => void;
  /** Something was written, and is on disk. */
  readonly onCommitted: () => void;
  /** Something was written, on disk or not. */
  readonly onWritten: () => void;
  /** Brings to the disk what was written as sure of the process only, soon or (`canWait`) a little later; calls back by itself. */
  readonly sync: (canWait: boolean) => void;
}

interface Waiting {
  readonly change: Change;
  readonly resolve: (enqueued: readonly Enqueued[]) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupWriter {
  readonly #options: WriterOptions;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #ceiling: number;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#ceiling = readCeiling(options.base)?.ceiling ?? 0;
  }

  /** Resolves when the change is on disk. */
  write(change: Change): Promise<readonly Enqueued[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject });
      this.#flushing ??= this.#nextTurn();
    });
  }

  /** The same for a change of one record. */
  writeOne(change: Change): Promise<Enqueued> {
    return new Promise((resolve, reject) => {
      const first = ([enqueued]: readonly Enqueued[]): void => {
        if (enqueued === undefined) reject(new RangeError('a change of one record has no record'));
        else resolve(enqueued);
      };
      this.#waiting.push({ change, resolve: first, reject });
      this.#flushing ??= this.#nextTurn();
    });
  }

  /** Resolves when everything written so far is on disk or was rejected. */
  flushed(): Promise<void> {
    return this.#flushing ?? Promise.resolve();
  }

  /** The turn of the event loop is the window of a group: whoever asks in it joins. */
  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#flushing = undefined;
        this.#flush();
        resolve();
      });
    });
  }

  #flush(): void {
    const group = this.#waiting;
    this.#waiting = [];
    const gaps: Gap[] = [];
    try {
      const { store, base, now, makeId, mayBeStored, budget } = this.#options;
      const changes = group.map(({ change }) => change);
      const records = changes.reduce((sum, { records: some }) => sum + (some?.length ?? 0), 0);
      const certainty = certaintyOf(changes);
      this.#reserve(records);
      const results = store.insert(changes, now(), {
        makeId,
        certainty,
        mayReplace: (sourceSeq) => !mayBeStored(sourceSeq),
        isOver: (usage) => isOver(usage, budget),
        makeRoom: (transaction) => this.#keepBudget(transaction, gaps),
      });
      if (store.state.nextSourceSeq > this.#ceiling)
        this.#ceiling = raiseCeiling(base, store.state.nextSourceSeq, store.firstPending()).ceiling;
      for (const gap of gaps) this.#options.observe({ kind: 'shed', gap });
      group.forEach(({ resolve }, at) => resolve(results[at] ?? []));
      if (certainty === 'disk') this.#options.onCommitted();
      else if (records > 0) this.#options.sync(changes.every(mayWait));
      this.#options.onWritten();
    } catch (error) {
      this.#fail(group, error);
    }
  }

  #fail(group: readonly Waiting[], error: unknown): void {
    const { base, observe } = this.#options;
    const fault = storageFault(error, base);
    if (isCorrupt(error)) markSuspect(base);
    if (fault.code !== 'OUTBOX_FULL')
      observe({ kind: 'storage-failed', code: fault.code, message: fault.message });
    for (const { reject } of group) reject(fault);
  }

  /** Makes sure that the numbers about to be used are below the ceiling on disk. Gap records are few and fit into the margin. */
  #reserve(records: number): void {
    const { store, base } = this.#options;
    const next = store.state.nextSourceSeq + records + GAP_MARGIN;
    if (next > this.#ceiling) this.#ceiling = raiseCeiling(base, next, store.firstPending()).ceiling;
  }

  #keepBudget(transaction: InsertTransaction, gaps: Gap[]): void {
    const { budget, gapRecord, isInFlight } = this.#options;
    const candidates = skip(transaction.candidates(), isInFlight);
    const victims = chooseVictims(transaction.usage(), budget, candidates);
    transaction.shed(victims);
    for (const gap of gapsOf(victims)) {
      gaps.push(gap);
      transaction.insert(gapRecord(gap));
    }
    if (!isFull(transaction.usage(), budget)) return;
    throw new Fault({
      code: 'OUTBOX_FULL',
      retry: 'later',
      message: 'the buffer is full of records that must not be shed; deliver some of them first',
      detail: { rows: transaction.usage().rows, bytes: transaction.usage().bytes },
    });
  }
}

const GAP_MARGIN = 4096;

const mayWait = ({ canWait, records = [] }: Change): boolean => canWait === true || records.length === 0;

/** A record that takes the place of another must not be undone by a power cut once it has been sent: its number is known already. */
const certaintyOf = (changes: readonly Change[]): Certainty =>
  changes.every(
    ({ certainty, records = [] }) =>
      certainty === 'process' && records.every(({ replaces }) => replaces === undefined),
  )
    ? 'process'
    : 'disk';

function* skip(
  candidates: Iterable<Candidate>,
  isInFlight: (sourceSeq: number) => boolean,
): Generator<Candidate> {
  for (const candidate of candidates) if (!isInFlight(candidate.sourceSeq)) yield candidate;
}
