// The contract of concurrent appends: each caller has its own outcome however appends travel together. Two properties
// are checked with random work: agreement with a plain array, and no lost or doubled step among optimistic writers.
import type { AppendOutcome, EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entry, idOf, type MakeLog, withLog } from './log-harness.ts';
import { all, expectFault } from './reading.ts';

const callers = (make: MakeLog): void => {
  it(
    'gives each of 64 concurrent appends its own outcome: stored, conflict or duplicate',
    withLog(make, async ({ log, subject }) => {
      for (let n = 0; n < 64; n += 1)
        if (n % 3 !== 0) await log.append(entry(subject(`s${n}`), `old${n}`, { expectedSeq: 0 }));
      const before = await log.bounds();
      const outcomes = await Promise.all(
        Array.from({ length: 64 }, (_, n) =>
          log.append(entry(subject(`s${n}`), n % 3 === 2 ? `old${n}` : `new${n}`, { expectedSeq: 0 })),
        ),
      );
      for (const [n, outcome] of outcomes.entries()) {
        const lastSeq = (await log.last(subject(`s${n}`)))?.seq;
        if (n % 3 === 0) expect(outcome).toEqual({ kind: 'appended', seq: lastSeq, duplicate: false });
        if (n % 3 === 1) expect(outcome).toMatchObject({ kind: 'conflict', actualSeq: lastSeq });
        if (n % 3 === 2) expect(outcome).toEqual({ kind: 'appended', seq: lastSeq, duplicate: true });
      }
      expect((await log.bounds()).entries).toBe(before.entries + 22);
    }),
  );

  it(
    'fails only the caller whose entry is refused',
    withLog(make, async ({ log, subject }) => {
      const good = (n: number): Promise<AppendOutcome> => log.append(entry(subject(`g${n}`), `g${n}`));
      const before = Promise.all([good(1), good(2), good(3)]);
      const bad = expectFault(() => log.append(entry(subject('*'), 'bad')), 'LOG_REFUSED', 'never');
      const large = entry(subject('large'), 'large', { body: new Uint8Array(2 * 1_048_576) });
      const tooLarge = expectFault(() => log.append(large), 'LOG_REFUSED', 'never');
      const after = Promise.all([good(4), good(5)]);
      await Promise.all([bad, tooLarge]);
      for (const outcome of [...(await before), ...(await after)])
        expect(outcome).toMatchObject({ kind: 'appended', duplicate: false });
    }),
  );

  it(
    'lets appends to one subject take effect in call order',
    withLog(make, async ({ log, subject }) => {
      const calls = Array.from({ length: 200 }, (_, n) => entry(subject(`s${n % 4}`), `c${n}`));
      await Promise.all(calls.map((call) => log.append(call)));
      for (let s = 0; s < 4; s += 1) {
        const wanted = calls.filter((call) => call.subject === subject(`s${s}`)).map(({ id }) => id);
        expect((await all(log.read(subject(`s${s}`)))).map(idOf)).toEqual(wanted);
      }
    }),
  );

  it(
    'lets one of 32 racers win, and tells the others who did',
    withLog(make, async ({ log, subject }) => {
      const run = subject('run');
      await log.append(entry(run, 'start'));
      const outcomes = await Promise.all(
        Array.from({ length: 32 }, (_, n) => log.append(entry(run, `racer${n}`, { expectedSeq: 1 }))),
      );
      const winners = outcomes.filter(({ kind }) => kind === 'appended');
      expect(winners).toEqual([{ kind: 'appended', seq: 2, duplicate: false }]);
      for (const outcome of outcomes)
        if (outcome.kind === 'conflict') expect(outcome).toMatchObject({ expectedSeq: 1, actualSeq: 2 });
    }),
  );

  it(
    'stores an entry once that is appended by many at the same time',
    withLog(make, async ({ log, subject }) => {
      const once = entry(subject('run'), 'once', { expectedSeq: 0 });
      const outcomes = await Promise.all(Array.from({ length: 16 }, () => log.append(once)));
      for (const outcome of outcomes) expect(outcome).toMatchObject({ kind: 'appended', seq: 1 });
      const stored = outcomes.filter((outcome) => outcome.kind === 'appended' && !outcome.duplicate);
      expect(stored).toHaveLength(1);
      expect(await log.bounds()).toMatchObject({ entries: 1 });
    }),
  );

  it(
    'does not mix a batch with what is appended beside it',
    withLog(make, async ({ log, subject }) => {
      const batches = Array.from({ length: 5 }, (_, b) =>
        log.appendTogether(Array.from({ length: 20 }, (_, n) => entry(subject(`b${b}`), `b${b}-${n}`))),
      );
      const singles = Array.from({ length: 50 }, (_, n) => log.append(entry(subject(`s${n}`), `s${n}`)));
      const outcomes = await Promise.all(batches);
      await Promise.all(singles);
      for (const outcome of outcomes) {
        const [start = 0] = outcome.kind === 'appended' ? outcome.seqs : [];
        expect(outcome).toMatchObject({ seqs: Array.from({ length: 20 }, (_, n) => start + n) });
      }
      expect(await log.bounds()).toMatchObject({ entries: 150, lastSeq: 150 });
    }),
  );
};

/** The log as a plain array, by the words of the port. */
class PlainLog {
  readonly entries: { seq: number; subject: string; id: string }[] = [];

  last(subject: string): number {
    return this.entries.findLast((one) => one.subject === subject)?.seq ?? 0;
  }

  /** What the log may answer; mostly one thing. */
  append({ subject, id, expectedSeq }: NewEntry): AppendOutcome[] {
    const known = this.entries.find((one) => one.id === id);
    const actualSeq = this.last(subject);
    const conflicts: AppendOutcome[] =
      expectedSeq !== undefined && expectedSeq !== actualSeq
        ? [{ kind: 'conflict', subject, expectedSeq, actualSeq }]
        : [];
    if (known !== undefined) {
      const duplicate: AppendOutcome = { kind: 'appended', seq: known.seq, duplicate: true };
      const next = this.entries.find((one) => one.subject === subject && one.seq > (expectedSeq ?? 0));
      // A known id behind another expectation than it was stored at is no repeat of that append: either answer is true.
      return next === known ? [duplicate] : [duplicate, ...conflicts];
    }
    if (conflicts.length > 0) return conflicts;
    const seq = (this.entries.at(-1)?.seq ?? 0) + 1;
    this.entries.push({ seq, subject, id });
    return [{ kind: 'appended', seq, duplicate: false }];
  }
}

interface Step {
  readonly on: number;
  readonly id: number;
  /** How far behind the present the expectation is; none: without expectation. */
  readonly behind: number | null;
}

const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  on: fc.nat(2),
  id: fc.nat(9),
  behind: fc.option(fc.constantFrom(0, 0, 0, 1, 2), { nil: null }),
});

const properties = (make: MakeLog, runs: number): void => {
  it('agrees with a plain array about any sequence of appends', async () => {
    const property = fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 25 }), async (steps) => {
      const { log, subject, dispose } = await make();
      const plain = new PlainLog();
      for (const { on, id, behind } of steps) {
        const expectedSeq = Math.max(0, plain.last(subject(`s${on}`)) - (behind ?? 0));
        const one = entry(subject(`s${on}`), `s${on}-${id}`, behind === null ? {} : { expectedSeq });
        expect(plain.append(one)).toContainEqual(await log.append(one));
      }
      const replayed = await all(log.replay());
      expect(replayed.map((one) => ({ seq: one.seq, subject: one.subject, id: idOf(one) }))).toEqual(
        plain.entries,
      );
      await dispose();
    });
    await fc.assert(property, propertyRuns(runs));
  });

  it('loses and doubles no step of optimistic writers that race', async () => {
    const shape = fc.record({
      writers: fc.integer({ min: 1, max: 8 }),
      aggregates: fc.integer({ min: 1, max: 3 }),
      steps: fc.integer({ min: 1, max: 5 }),
    });
    const property = fc.asyncProperty(shape, async ({ writers, aggregates, steps }) => {
      const { log, subject, dispose } = await make();
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
      await dispose();
    });
    await fc.assert(property, propertyRuns(Math.ceil(runs / 2)));
  });
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

export const concurrencyContract = (make: MakeLog, runs: number): void => {
  describe('concurrent appends', () => {
    callers(make);
    properties(make, runs);
  });
};
