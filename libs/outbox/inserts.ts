// What is written into a buffer's file: new records and notes, one transaction for all that is asked for together; a record that is alone is
// one by itself, which spares two statements. Does not decide when to write, nor what gives way.
import { bytesOf, remove, type Draft, type Ledger } from './ledger.ts';
import type { Certainty, Change, Enqueued, NewRecord, Note } from './outbox.ts';
import type { RecentRecord } from './recent-records.ts';
import { candidateRowSchema, sizeOf } from './row.ts';
import type { Candidate, Usage } from './shed.policy.ts';

/** What an insert is given. */
export interface InsertMeans {
  readonly certainty: Certainty;
  readonly makeId: () => string;
  /** Whether a waiting record may be replaced: false when it can be with the other side already. */
  readonly mayReplace: (sourceSeq: number) => boolean;
  /** Whether something has to give way. */
  readonly isOver: (usage: Usage) => boolean;
  /** Called inside the transaction after the changes, if something has to give way; may shed and add records. */
  readonly makeRoom: (transaction: InsertTransaction) => void;
}

export interface InsertTransaction {
  insert(record: NewRecord): Enqueued;
  usage(): Usage;
  /** Records that may be shed, least worth first, oldest first. */
  candidates(): Iterable<Candidate>;
  shed(victims: readonly Candidate[]): void;
}

/** An insert under way. */
interface Insertion {
  readonly draft: Draft;
  readonly now: number;
  readonly means: InsertMeans;
  readonly added: RecentRecord[];
}

/** A record and how it is written. */
interface Sized {
  readonly record: NewRecord;
  readonly headers: string;
  readonly bytes: number;
}

/** Coalescing keys between two looks for those whose record is gone. */
const PRUNE_EVERY = 4096;

const sized = (record: NewRecord): Sized => {
  const headers = JSON.stringify(record.headers);
  return { record, headers, bytes: sizeOf(record, headers) };
};

/** The record of a change that is nothing else. */
const loneOf = (changes: readonly Change[]): NewRecord | undefined => {
  const [change] = changes;
  if (changes.length !== 1 || change?.records?.length !== 1 || (change.notes?.length ?? 0) > 0)
    return undefined;
  const [record] = change.records;
  return record?.replaces === undefined ? record : undefined;
};

export class Inserts {
  readonly #ledger: Ledger;
  #keysUntilPrune = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** Inserts in order, all or nothing. Returns what was fixed, per change. */
  insert(changes: readonly Change[], now: number, means: InsertMeans): readonly (readonly Enqueued[])[] {
    const added: RecentRecord[] = [];
    const results =
      this.#alone(changes, now, means, added) ??
      this.#ledger.transact(
        (draft) => this.#together(changes, { draft, now, means, added }),
        means.certainty,
      );
    for (const one of added) this.#ledger.recent.add(one);
    return results;
  }

  /** Undefined: it takes more than one statement. */
  #alone(
    changes: readonly Change[],
    now: number,
    means: InsertMeans,
    added: RecentRecord[],
  ): readonly (readonly Enqueued[])[] | undefined {
    const record = loneOf(changes);
    if (record === undefined) return undefined;
    const one = sized(record);
    const { rows, bytes } = this.#ledger.state;
    if (means.isOver({ rows: rows + 1, bytes: bytes + one.bytes })) return undefined;
    return this.#ledger.insertOne(
      (draft) => [[this.#append({ draft, now, means, added }, one)]],
      means.certainty,
    );
  }

  #together(changes: readonly Change[], insertion: Insertion): readonly (readonly Enqueued[])[] {
    const { draft, means } = insertion;
    const insert = (record: NewRecord): Enqueued => this.#insert(insertion, sized(record));
    const results = changes.map(({ records, notes }) => {
      if (notes !== undefined) for (const note of notes) this.#writeNote(note);
      return records === undefined ? [] : records.map(insert);
    });
    if (means.isOver(draft))
      means.makeRoom({
        insert,
        usage: () => draft,
        candidates: () => this.#candidates(),
        shed: (victims) => {
          for (const { sourceSeq } of victims) remove(this.#ledger, draft, sourceSeq);
        },
      });
    return results;
  }

  #insert(insertion: Insertion, one: Sized): Enqueued {
    const { lane, kind, replaces } = one.record;
    if (replaces === undefined) return this.#append(insertion, one);
    const key = JSON.stringify([lane, kind, replaces]);
    const old = this.#waitingOf(key, insertion.means);
    if (old !== undefined) return this.#replace(insertion, one, old);
    const enqueued = this.#append(insertion, one);
    this.#rememberLatest(key, enqueued.sourceSeq);
    return enqueued;
  }

  #replace({ draft, now, means }: Insertion, { record, headers, bytes }: Sized, old: number): Enqueued {
    const { worth, subject, body } = record;
    const id = record.id ?? means.makeId();
    draft.bytes += bytes - bytesOf(this.#ledger, old);
    draft.isStale = true;
    this.#ledger.recent.forget();
    const times = [Math.trunc(record.occurredAt ?? now), Math.trunc(now)] as const;
    this.#ledger.statements.replace.run(worth, bytes, id, ...times, subject, headers, body, old);
    return { sourceSeq: old, id };
  }

  #append({ draft, now, means, added }: Insertion, { record, headers, bytes }: Sized): Enqueued {
    const { worth, lane, kind, subject, body } = record;
    const id = record.id ?? means.makeId();
    const sourceSeq = draft.nextSourceSeq;
    const occurredAt = Math.trunc(record.occurredAt ?? now);
    const enqueuedAt = Math.trunc(now);
    this.#ledger.statements.insert.run(
      sourceSeq,
      worth,
      bytes,
      lane,
      kind,
      id,
      occurredAt,
      enqueuedAt,
      subject,
      headers,
      body,
    );
    draft.nextSourceSeq += 1;
    draft.rows += 1;
    draft.bytes += bytes;
    const fixed = { sourceSeq, id, attempts: 0, occurredAt, enqueuedAt };
    added.push({ record: { ...fixed, worth, lane, kind, subject, headers: record.headers, body }, bytes });
    return { sourceSeq, id };
  }

  /** The record that one with this key replaces. */
  #waitingOf(key: string, { mayReplace }: InsertMeans): number | undefined {
    const sourceSeq = this.#ledger.statements.latestOf.get(key)?.['source_seq'];
    return typeof sourceSeq === 'number' && mayReplace(sourceSeq) ? sourceSeq : undefined;
  }

  #rememberLatest(key: string, sourceSeq: number): void {
    if (this.#keysUntilPrune === 0) {
      this.#ledger.statements.pruneLatest.run();
      this.#keysUntilPrune = PRUNE_EVERY;
    }
    this.#keysUntilPrune -= 1;
    this.#ledger.statements.setLatest.run(key, sourceSeq);
  }

  #writeNote({ key, value }: Note): void {
    const { removeNote, setNote } = this.#ledger.statements;
    if (value === null) removeNote.run(key);
    else setNote.run(key, JSON.stringify(value));
  }

  *#candidates(): Generator<Candidate> {
    for (const row of this.#ledger.statements.candidates.iterate()) yield candidateRowSchema.parse(row);
  }
}
