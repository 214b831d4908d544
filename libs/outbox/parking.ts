// The records that were refused for good and wait for a person: parked, handed to the dead letters, put back or dropped.
import { bytesOf, type Draft, type Ledger } from './ledger.ts';
import type { ParkedRecord, Refusal } from './outbox.ts';
import { readParkedRow } from './row.ts';

/** Parked records kept in the file once the dead letters have them. */
const KEPT_PARKED = 1000;

const read = (row: unknown): ParkedRecord | undefined => readParkedRow(row as readonly unknown[]);

export class Parking {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** Parks a live record, as a part of a transaction. */
  park(draft: Draft, sourceSeq: number, { code, message, attempts }: Refusal): void {
    const { setParked, addRefusal } = this.#ledger.statements;
    draft.rows -= 1;
    draft.bytes -= bytesOf(this.#ledger, sourceSeq);
    draft.parked += 1;
    draft.isStale = true;
    this.#ledger.recent.forget();
    setParked.run(1, attempts, sourceSeq);
    addRefusal.run(sourceSeq, code, message);
  }

  /** Parks a row that could not be read back; its content stays in the file for a person to look at. */
  parkUnreadable(sourceSeq: number, problem: string): void {
    this.#ledger.transact((draft) =>
      this.park(draft, sourceSeq, { code: 'OUTBOX_ROW_UNREADABLE', message: problem, attempts: 0 }),
    );
  }

  list(limit: number): readonly ParkedRecord[] {
    return this.#ledger.statements.parked
      .all(limit)
      .map(read)
      .filter((parked) => parked !== undefined);
  }

  /** The oldest parked record that has not been handed to the dead letters. */
  letterless(): ParkedRecord | undefined {
    const row = this.#ledger.statements.letterless.get();
    return row === undefined ? undefined : read(row);
  }

  /** Notes that the dead letters have it. Of the records they have, the newest 1,000 stay here as well. */
  letterStored(sourceSeq: number): void {
    const { letterStored, oldLetters, removeRefusal, remove } = this.#ledger.statements;
    this.#ledger.transact((draft) => {
      letterStored.run(sourceSeq);
      const surplus = oldLetters.all(KEPT_PARKED);
      for (const { source_seq: old } of surplus) {
        removeRefusal.run(old ?? null);
        remove.run(old ?? null);
      }
      draft.parked -= surplus.length;
      draft.isStale = true;
    });
  }

  /** Puts it back at its place. False: no such parked record. */
  retry(sourceSeq: number): boolean {
    const { setParked, addUnsent } = this.#ledger.statements;
    return this.#take(sourceSeq, (draft) => {
      setParked.run(0, 0, sourceSeq);
      this.#ledger.recent.forget();
      this.#ledger.mayHaveUnsent = true;
      draft.rows += 1;
      draft.bytes += bytesOf(this.#ledger, sourceSeq);
      // Higher numbers may have been sent before it is.
      addUnsent.run('', sourceSeq);
    });
  }

  /** Deletes it. False: no such parked record. */
  drop(sourceSeq: number): boolean {
    return this.#take(sourceSeq, () => this.#ledger.statements.remove.run(sourceSeq));
  }

  #take(sourceSeq: number, change: (draft: Draft) => void): boolean {
    const { oneParked, removeRefusal } = this.#ledger.statements;
    if (oneParked.get(sourceSeq) === undefined) return false;
    this.#ledger.transact((draft) => {
      removeRefusal.run(sourceSeq);
      draft.parked -= 1;
      draft.isStale = true;
      change(draft);
    });
    return true;
  }
}
