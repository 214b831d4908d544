// Random work on a log, judged by what the port promises: one after another it agrees with a plain array, side by side
// every outcome fits the log that came of it, and optimistic writers lose and double nothing.
import type { AppendOutcome, BatchOutcome, EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entry, idOf, type LogHarness, type MakeLog } from './log-harness.ts';
import { all } from './reading.ts';

interface Row {
  readonly seq: number;
  readonly subject: string;
  readonly id: string;
}

/** The log as a plain array, by the words of the port. */
class PlainLog {
  readonly rows: Row[] = [];

  last(subject: string): number {
    return this.rows.findLast((row) => row.subject === subject)?.seq ?? 0;
  }

  /** What the log may answer; mostly one thing. */
  append(one: NewEntry): AppendOutcome[] {
    const known = this.rows.find(({ id }) => id === one.id);
    const conflict = this.#conflict(one);
    if (known !== undefined) {
      const duplicate: AppendOutcome = { kind: 'appended', seq: known.seq, duplicate: true };
      const next = this.rows.find(
        ({ subject, seq }) => subject === one.subject && seq > (one.expectedSeq ?? 0),
      );
      // A known id behind another expectation than it was stored at is no repeat of that append: either answer is true.
      return next === known || conflict === undefined ? [duplicate] : [duplicate, conflict];
    }
    if (conflict !== undefined) return [conflict];
    return [{ kind: 'appended', seq: this.#store(one), duplicate: false }];
  }

  /** Knows new batches and repeats of whole batches. */
  appendTogether(batch: readonly NewEntry[]): BatchOutcome[] {
    const known = batch.map((one) => this.rows.find(({ id }) => id === one.id)?.seq ?? 0);
    if (!known.includes(0)) return [{ kind: 'appended', seqs: known, duplicate: true }];
    const conflict = batch.map((one) => this.#conflict(one)).find((one) => one !== undefined);
    if (conflict !== undefined) return [conflict];
    return [{ kind: 'appended', seqs: batch.map((one) => this.#store(one)), duplicate: false }];
  }

  #conflict({ subject, expectedSeq }: NewEntry): Extract<AppendOutcome, { kind: 'conflict' }> | undefined {
    const actualSeq = this.last(subject);
    if (expectedSeq === undefined || expectedSeq === actualSeq) return undefined;
    return { kind: 'conflict', subject, expectedSeq, actualSeq };
  }

  #store({ subject, id }: NewEntry): number {
    const seq = (this.rows.at(-1)?.seq ?? 0) + 1;
    this.rows.push({ seq, subject, id });
    return seq;
  }
}

interface Wish {
  /** Which subject. */
  readonly on: number;
  /** How far behind the last sequence the expectation is; none: without expectation. */
  readonly behind: number | null;
}

/** Entries to append (one: alone, several: together), or the whole step again that came so many steps before. */
type Step =
  | { readonly wishes: readonly Wish[] }
  | { readonly again: number }
  | { readonly id: number; readonly wish: Wish };

const wishArbitrary: fc.Arbitrary<Wish> = fc.record({
  on: fc.nat(2),
  behind: fc.option(fc.constantFrom(0, 0, 0, 1, 2), { nil: null }),
});

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ id: fc.nat(9), wish: wishArbitrary }) },
  { weight: 2, arbitrary: fc.record({ wishes: fc.array(wishArbitrary, { minLength: 1, maxLength: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ again: fc.integer({ min: 1, max: 5 }) }) },
);

/** Turns wishes into entries. `last` tells the last sequence of a subject at that time. */
class Clerk {
  readonly #subject: (name: string) => string;
  readonly #last: (subject: string) => number;
  #fresh = 0;

  constructor(subject: (name: string) => string, last: (subject: string) => number) {
    this.#subject = subject;
    this.#last = last;
  }

  one({ on, behind }: Wish, id = `fresh-${(this.#fresh += 1)}`): NewEntry {
    const subject = this.#subject(`s${on}`);
    const expectedSeq = Math.max(0, this.#last(subject) - (behind ?? 0));
    return entry(subject, id, behind === null ? {} : { expectedSeq });
  }

  /** Only the first entry of a subject keeps its expectation. */
  together(wishes: readonly Wish[]): NewEntry[] {
    const seen = new Set<number>();
    return wishes.map((wish) => {
      const isFirst = !seen.has(wish.on);
      seen.add(wish.on);
      return this.one(isFirst ? wish : { on: wish.on, behind: null });
    });
  }
}

const rowsOf = async (log: EventLog): Promise<Row[]> =>
  (await all(log.replay())).map((one) => ({ seq: one.seq, subject: one.subject, id: idOf(one) ?? '' }));

const inTurn = async ({ log, subject }: LogHarness, steps: readonly Step[]): Promise<void> => {
  const plain = new PlainLog();
  const clerk = new Clerk(subject, (on) => plain.last(on));
  const done: (readonly NewEntry[])[] = [];
  const entriesOf = (step: Step): readonly NewEntry[] => {
    if ('again' in step) return done.at(-step.again) ?? [];
    if ('wishes' in step) return clerk.together(step.wishes);
    return [clerk.one(step.wish, `s${step.wish.on}-${step.id}`)];
  };
  for (const step of steps) {
    const entries = entriesOf(step);
    const [only] = entries;
    if (only === undefined) continue;
    done.push(entries);
    if (entries.length === 1) expect(plain.append(only)).toContainEqual(await log.append(only));
    else expect(plain.appendTogether(entries)).toContainEqual(await log.appendTogether(entries));
  }
  expect(await rowsOf(log)).toEqual(plain.rows);
};

/** Checks one outcome against the log that came of all of them. */
const judge = (rows: readonly Row[], entries: readonly NewEntry[], outcome: BatchOutcome): void => {
  if (outcome.kind === 'conflict') {
    for (const { id } of entries)
      expect(
        rows.some((row) => row.id === id),
        id,
      ).toBe(false);
    const { subject, expectedSeq, actualSeq } = outcome;
    expect(entries.some((one) => one.subject === subject && one.expectedSeq === expectedSeq)).toBe(true);
    expect(actualSeq).not.toBe(expectedSeq);
    if (actualSeq > 0) expect(rows[actualSeq - 1]?.subject).toBe(subject);
    return;
  }
  expect(outcome.duplicate).toBe(false);
  for (const [at, { subject, id, expectedSeq }] of entries.entries()) {
    const seq = (outcome.seqs[0] ?? 0) + at;
    expect(outcome.seqs[at]).toBe(seq);
    expect(rows[seq - 1]).toEqual({ seq, subject, id });
    if (expectedSeq === undefined) continue;
    const before = rows.slice(0, (outcome.seqs[0] ?? 0) - 1).findLast((row) => row.subject === subject);
    expect(before?.seq ?? 0).toBe(expectedSeq);
  }
};

const sideBySide = async (harness: LogHarness, rounds: readonly (readonly Wish[])[][]): Promise<void> => {
  const { log, subject } = harness;
  let rows: Row[] = [];
  const clerk = new Clerk(subject, (on) => rows.findLast((row) => row.subject === on)?.seq ?? 0);
  for (const round of rounds) {
    const work = round.map((wishes) => clerk.together(wishes));
    const outcomes = await Promise.all(
      work.map(async (entries): Promise<BatchOutcome> => {
        const [only] = entries;
        if (only === undefined || entries.length > 1) return log.appendTogether(entries);
        const outcome = await log.append(only);
        if (outcome.kind === 'conflict') return outcome;
        return { kind: 'appended', seqs: [outcome.seq], duplicate: outcome.duplicate };
      }),
    );
    rows = await rowsOf(log);
    expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, at) => at + 1));
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    for (const [at, outcome] of outcomes.entries()) judge(rows, work[at] ?? [], outcome);
  }
};

/** Appends behind whatever is last, until it has worked; the entry says behind what. */
const appendAtLast = async (log: EventLog, subject: string, id: string): Promise<void> => {
  for (;;) {
    const expectedSeq = (await log.last(subject))?.seq ?? 0;
    const headers = { 'X-After': String(expectedSeq) };
    const outcome = await log.append(entry(subject, id, { headers, expectedSeq }));
    if (outcome.kind === 'appended') return;
  }
};

interface Race {
  readonly writers: number;
  readonly aggregates: number;
  readonly steps: number;
}

const race = async ({ log, subject }: LogHarness, { writers, aggregates, steps }: Race): Promise<void> => {
  const write = async (writer: number): Promise<void> => {
    for (let step = 0; step < steps; step += 1)
      await appendAtLast(log, subject(`a${(writer + step) % aggregates}`), `w${writer}-${step}`);
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  const replayed = await all(log.replay());
  expect(new Set(replayed.map(idOf)).size).toBe(writers * steps);
  expect(replayed).toHaveLength(writers * steps);
  const lastOf = new Map<string, number>();
  for (const one of replayed) {
    expect(one.headers['X-After']).toBe(String(lastOf.get(one.subject) ?? 0));
    lastOf.set(one.subject, one.seq);
  }
};

export const modelContract = (make: MakeLog, runs: number): void => {
  /** Each example on a log of its own. */
  const holds = <T>(examples: fc.Arbitrary<T>, body: (harness: LogHarness, example: T) => Promise<void>) =>
    fc.assert(
      fc.asyncProperty(examples, async (example) => {
        const harness = await make();
        try {
          await body(harness, example);
        } finally {
          await harness.dispose();
        }
      }),
      propertyRuns(runs),
    );

  describe('random work', () => {
    it('agrees with a plain array about any sequence of appends, batches and repeats', () =>
      holds(fc.array(stepArbitrary, { maxLength: 25 }), inTurn));

    it('gives concurrent appends and batches outcomes that fit the log that came of them', () => {
      const work = fc.array(wishArbitrary, { minLength: 1, maxLength: 4 });
      const round = fc.array(work, { minLength: 1, maxLength: 12 });
      return holds(fc.array(round, { minLength: 1, maxLength: 3 }), sideBySide);
    });

    it('loses and doubles no step of optimistic writers that race', () =>
      holds(
        fc.record({
          writers: fc.integer({ min: 1, max: 8 }),
          aggregates: fc.integer({ min: 1, max: 3 }),
          steps: fc.integer({ min: 1, max: 5 }),
        }),
        race,
      ));
  });
};
