// The contract of atomic batches: all or nothing, contiguous, with the first broken expectation named.
import type { NewEntry } from '#libs/ports/event-log.ts';
import { describe, expect, it } from 'vitest';
import { entry, idOf, type MakeLog, withLog } from './log-harness.ts';
import { all, expectFault } from './reading.ts';

const storing = (make: MakeLog): void => {
  it(
    'stores all entries of a batch, contiguous and in order',
    withLog(make, async ({ log, subject }) => {
      await log.append(entry(subject('before'), 'before'));
      const names = ['a', 'b', 'c', 'd', 'e'];
      const outcome = await log.appendTogether(
        names.map((name) => entry(subject(name), name, { expectedSeq: 0 })),
      );
      expect(outcome).toEqual({ kind: 'appended', seqs: [2, 3, 4, 5, 6], duplicate: false });
      expect((await all(log.replay({ from: { seq: 2 } }))).map(idOf)).toEqual(names);
    }),
  );

  it(
    'NF-01 stores a batch of one and a batch of a thousand',
    withLog(make, async ({ log, subject }) => {
      expect(await log.appendTogether([entry(subject('one'), 'one', { expectedSeq: 0 })])).toEqual({
        kind: 'appended',
        seqs: [1],
        duplicate: false,
      });
      const many = Array.from({ length: 1_000 }, (_, n) => entry(subject('many'), `m${n}`));
      const outcome = await log.appendTogether(many);
      expect(outcome.kind === 'appended' && outcome.seqs).toEqual(many.map((_, n) => n + 2));
      expect((await all(log.read(subject('many')))).map(idOf)).toEqual(many.map(({ id }) => id));
    }),
  );

  it(
    'NF-03 takes several entries of one subject, the first with an expectation',
    withLog(make, async ({ log, subject }) => {
      const run = subject('run');
      await log.append(entry(run, 'a'));
      const batch = [
        entry(run, 'b', { expectedSeq: 1 }),
        entry(run, 'c'),
        entry(subject('x'), 'd'),
        entry(run, 'e'),
      ];
      expect(await log.appendTogether(batch)).toMatchObject({ kind: 'appended', seqs: [2, 3, 4, 5] });
      expect((await all(log.read(run))).map(idOf)).toEqual(['a', 'b', 'c', 'e']);
    }),
  );
};

const conflicts = (make: MakeLog): void => {
  it(
    'stores nothing when one expectation fails, and names the first that does',
    withLog(make, async ({ log, subject }) => {
      await log.append(entry(subject('b'), 'b1'));
      await log.append(entry(subject('c'), 'c1'));
      const outcome = await log.appendTogether([
        entry(subject('a'), 'a2', { expectedSeq: 0 }),
        entry(subject('b'), 'b2', { expectedSeq: 0 }),
        entry(subject('c'), 'c2', { expectedSeq: 1 }),
      ]);
      expect(outcome).toEqual({ kind: 'conflict', subject: subject('b'), expectedSeq: 0, actualSeq: 1 });
      expect(await log.bounds()).toMatchObject({ lastSeq: 2, entries: 2 });
      expect(await log.last(subject('a'))).toBeUndefined();
    }),
  );

  it(
    'does not use up the ids of a batch that conflicted',
    withLog(make, async ({ log, subject }) => {
      await log.append(entry(subject('b'), 'b1'));
      const batch = (expectedSeq: number): NewEntry[] => [
        entry(subject('a'), 'a2', { expectedSeq: 0 }),
        entry(subject('b'), 'b2', { expectedSeq }),
      ];
      expect(await log.appendTogether(batch(0))).toMatchObject({ kind: 'conflict' });
      expect(await log.appendTogether(batch(1))).toEqual({
        kind: 'appended',
        seqs: [2, 3],
        duplicate: false,
      });
    }),
  );

  it(
    'lets one of two batches win that expect the same',
    withLog(make, async ({ log, subject }) => {
      const outcomes = await Promise.all(
        ['one', 'two', 'three'].map((writer) =>
          log.appendTogether([
            entry(subject(writer), `${writer}-own`, { expectedSeq: 0 }),
            entry(subject('shared'), `${writer}-shared`, { expectedSeq: 0 }),
          ]),
        ),
      );
      expect(outcomes.filter(({ kind }) => kind === 'appended')).toHaveLength(1);
      for (const outcome of outcomes)
        if (outcome.kind === 'conflict')
          expect(outcome).toMatchObject({ subject: subject('shared'), expectedSeq: 0, actualSeq: 2 });
      expect(await log.bounds()).toMatchObject({ entries: 2 });
    }),
  );
};

const repeats = (make: MakeLog): void => {
  it(
    'NF-02 answers a repeated batch with the sequences of that time, also when others have appended since',
    withLog(make, async ({ log, subject }) => {
      const batch = [
        entry(subject('a'), 'a1', { expectedSeq: 0 }),
        entry(subject('b'), 'b1', { expectedSeq: 0 }),
        entry(subject('a'), 'a2'),
      ];
      await log.append(entry(subject('before'), 'before'));
      await log.appendTogether(batch);
      expect(await log.appendTogether(batch)).toEqual({ kind: 'appended', seqs: [2, 3, 4], duplicate: true });
      await log.append(entry(subject('a'), 'a3', { expectedSeq: 4 }));
      await log.append(entry(subject('b'), 'b2', { expectedSeq: 3 }));
      expect(await log.appendTogether(batch)).toEqual({ kind: 'appended', seqs: [2, 3, 4], duplicate: true });
      expect(await log.bounds()).toMatchObject({ entries: 6 });
    }),
  );

  it(
    'answers a repeated batch without expectations in the same way',
    withLog(make, async ({ log, subject }) => {
      const batch = ['a', 'b', 'c'].map((id) => entry(subject('run'), id));
      await log.appendTogether(batch);
      expect(await log.appendTogether(batch)).toEqual({ kind: 'appended', seqs: [1, 2, 3], duplicate: true });
    }),
  );

  it(
    'refuses a batch of which a part was stored before, and stores nothing',
    withLog(make, async ({ log, subject }) => {
      await log.append(entry(subject('a'), 'a1'));
      await expectFault(
        () =>
          log.appendTogether([
            entry(subject('b'), 'b1'),
            entry(subject('a'), 'a1'),
            entry(subject('c'), 'c1'),
          ]),
        'LOG_REFUSED',
        'never',
      );
      expect(await log.bounds()).toMatchObject({ entries: 1 });
      expect(await log.append(entry(subject('b'), 'b1'))).toMatchObject({
        kind: 'appended',
        duplicate: false,
      });
    }),
  );
};

const refusals = (make: MakeLog): void => {
  it(
    'refuses what cannot be a batch, and stores nothing',
    withLog(make, async ({ log, subject }) => {
      const run = subject('run');
      const bad: NewEntry[][] = [
        [],
        Array.from({ length: 1_001 }, (_, n) => entry(run, `m${n}`)),
        [entry(run, 'a', { expectedSeq: 0 }), entry(run, 'b', { expectedSeq: 1 })],
        [entry(run, 'a'), entry(run, 'b', { expectedSeq: 0 })],
        [entry(run, 'a'), entry(subject('other'), 'a')],
        [entry(run, 'a'), entry(subject('*'), 'b')],
        [entry(run, 'a'), entry(run, 'b', { body: new Uint8Array(2 * 1_048_576) })],
      ];
      for (const batch of bad) await expectFault(() => log.appendTogether(batch), 'LOG_REFUSED', 'never');
      expect(await log.bounds()).toMatchObject({ lastSeq: 0, entries: 0 });
    }),
  );
};

export const batchContract = (make: MakeLog): void => {
  describe('atomic batches', () => {
    storing(make);
    conflicts(make);
    repeats(make);
    refusals(make);
  });
};
