// The records that wait, kept in memory while they are few and new: what was just written is sent without being read back, and asked for without
// a look into the file. Either it has all of them, in order, or it knows nothing; the file is the truth.
import type { BufferedRecord } from './outbox.ts';

/** A record and what it counts in the budget. */
export interface RecentRecord {
  readonly record: BufferedRecord;
  readonly bytes: number;
}

const MOST_RECORDS = 64;
const MOST_BYTES = 256 * 1024;

export class RecentRecords {
  #all: RecentRecord[] | undefined;
  #bytes = 0;

  /** Everything that waits, by number; undefined: ask the file. */
  get all(): readonly RecentRecord[] | undefined {
    return this.#all;
  }

  /** Nothing waits. */
  empty(): void {
    this.#all = [];
    this.#bytes = 0;
  }

  /** Something changed that is not followed here. */
  forget(): void {
    this.#all = undefined;
  }

  /** It was written behind all others. */
  add(recent: RecentRecord): void {
    if (this.#all === undefined) return;
    this.#all.push(recent);
    this.#bytes += recent.bytes;
    if (this.#all.length > MOST_RECORDS || this.#bytes > MOST_BYTES) this.forget();
  }

  /** What these count, if they are the first that wait; undefined: they are not, or it is not known. */
  front(records: readonly BufferedRecord[]): number | undefined {
    const all = this.#all;
    if (all === undefined || !records.every(({ sourceSeq }, at) => all[at]?.record.sourceSeq === sourceSeq))
      return undefined;
    return all.slice(0, records.length).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The first `count` have gone. */
  shift(count: number): void {
    for (const { bytes } of this.#all?.splice(0, count) ?? []) this.#bytes -= bytes;
  }
}
