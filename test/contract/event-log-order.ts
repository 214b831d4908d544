// The contract of entries that are appended in order: each once those before it are stored, whoever else writes meanwhile.
import { describe, expect, it } from 'vitest';
import { entry, idOf, type LogHarness, type MakeLog, withLog } from './log-harness.ts';
import { all, expectFault } from './reading.ts';

/** Ids of everything that is stored. */
const stored = async ({ log }: LogHarness): Promise<(string | undefined)[]> =>
  (await all(log.replay())).map(idOf);

const outcomes = (make: MakeLog): void => {
  it(
    'stores entries of several subjects, one after another',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      await log.append(entry(subject('task'), 'created'));
      const names = [
        entry(subject('grant'), 'granted', { expectedSeq: 0 }),
        entry(subject('task'), 'assigned', { expectedSeq: 1 }),
        entry(subject('run'), 'begun', { expectedSeq: 0 }),
      ];
      expect(await log.appendInOrder(names)).toEqual(
        [2, 3, 4].map((seq) => ({ kind: 'appended', seq, duplicate: false })),
      );
      expect(await stored(harness)).toEqual(['created', 'granted', 'assigned', 'begun']);
    }),
  );

  it(
    'ends with the first conflict: what comes before it stays, what comes after it is not stored',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      await log.append(entry(subject('b'), 'b1'));
      const of = (first: number) => [
        entry(subject('a'), `a${first}`, { expectedSeq: first }),
        entry(subject('b'), `b${first}`, { expectedSeq: 0 }),
        entry(subject('c'), `c${first}`, { expectedSeq: 0 }),
      ];
      const conflict = { kind: 'conflict', subject: subject('a'), expectedSeq: 7, actualSeq: 0 };
      expect(await log.appendInOrder(of(7))).toEqual([conflict]);
      expect(await stored(harness)).toEqual(['b1']);
      expect(await log.appendInOrder(of(0))).toEqual([
        { kind: 'appended', seq: 2, duplicate: false },
        { kind: 'conflict', subject: subject('b'), expectedSeq: 0, actualSeq: 1 },
      ]);
      expect(await stored(harness)).toEqual(['b1', 'a0']);
    }),
  );

  it(
    'tells a repeat, and goes on where an earlier try has ended',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      const [a, b] = [
        entry(subject('a'), 'a', { expectedSeq: 0 }),
        entry(subject('b'), 'b', { expectedSeq: 0 }),
      ];
      await log.append(a);
      await log.append(entry(subject('other'), 'other'));
      expect(await log.appendInOrder([a, b])).toEqual([
        { kind: 'appended', seq: 1, duplicate: true },
        { kind: 'appended', seq: 3, duplicate: false },
      ]);
      expect(await log.appendInOrder([a, b])).toEqual([
        { kind: 'appended', seq: 1, duplicate: true },
        { kind: 'appended', seq: 3, duplicate: true },
      ]);
    }),
  );

  it(
    'refuses what cannot be stored',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      const bad = [entry(subject('a'), 'a'), entry(subject('*'), 'b')];
      await expectFault(() => log.appendInOrder(bad), 'LOG_REFUSED', 'never');
    }),
  );
};

const beside = (make: MakeLog): void => {
  it(
    'keeps its order while others write, and of those who expect the same one goes on',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      const writers = Array.from({ length: 8 }, (_, at) => at);
      const [ends] = await Promise.all([
        Promise.all(
          writers.map((at) =>
            log.appendInOrder([
              entry(subject(`own${at % 4}`), `${at}.own`, { expectedSeq: 0 }),
              entry(subject(`next${at}`), `${at}.next`, { expectedSeq: 0 }),
            ]),
          ),
        ),
        ...writers.map((at) => log.append(entry(subject(`noise${at}`), `${at}.noise`))),
      ]);
      const won = ends.flatMap((end, at) => (end.length === 2 ? [at] : []));
      expect(new Set(won.map((at) => at % 4))).toEqual(new Set([0, 1, 2, 3]));
      expect(won).toHaveLength(4);
      const ids = await stored(harness);
      const nexts = ids.filter((id) => id?.endsWith('.next') === true);
      expect(new Set(nexts)).toEqual(new Set(won.map((at) => `${at}.next`)));
      expect(nexts).toHaveLength(won.length);
      for (const at of won) expect(ids.indexOf(`${at}.own`)).toBeLessThan(ids.indexOf(`${at}.next`));
    }),
  );
};

export const orderContract = (make: MakeLog): void => {
  describe('in order', () => {
    outcomes(make);
    beside(make);
  });
};
