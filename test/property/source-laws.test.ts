// Laws of the watch over the numbers of reports: under any order, loss, repetition and change of buffer, exactly the true holes
// are missing and exactly the true repeats are counted.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NumberRange } from '#services/audit/number-ranges.view.ts';
import { added, indexHolding, removed, sizeOf } from '#services/audit/number-ranges.view.ts';
import { alarmedOf, dueAlarm, dueClearing } from '#services/audit/alarms.policy.ts';
import { MAX_RANGES } from '#services/audit/numbering.view.ts';
import { foldSource, type SourceEvent, type SourceSummary } from '#services/audit/source.view.ts';
import { sourceViewSchema } from '#streams/source-view.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const whose = { boundary: { tenant: 't', project: 'p' }, agent: 'builder-1' };
const RULES = { graceMs: 0, now: 1e9, isWhole: true };

/** Folds reports one after another, as the stream holds them. */
const watcher = () => {
  let view: SourceSummary | undefined;
  let seq = 0;
  const place = () => ({ seq: (seq += 1), storedAt: seq });
  const fold = (event: SourceEvent): void => void (view = foldSource(view, event));
  return {
    report: (number: number, buffer = 'b1', named: readonly NumberRange[] = []) =>
      fold({ ...whose, kind: 'report', place: place(), number, buffer, named }),
    /** Puts every alarm and clearing that is due on record; how many. */
    tell: (): number => {
      let told = 0;
      for (;;) {
        if (view === undefined) return told;
        const alarm = dueAlarm(view, RULES);
        const cleared = dueClearing(view);
        if (alarm === undefined && cleared === undefined) return told;
        if (alarm !== undefined) fold({ ...whose, kind: 'alarm', place: place(), alarm });
        if (cleared !== undefined) fold({ ...whose, kind: 'cleared', place: place(), cleared });
        told += 1;
      }
    },
    view: (): SourceSummary => sourceViewSchema.parse({ ...view, seq }),
  };
};

const numbersOf = (ranges: readonly NumberRange[]): number[] =>
  ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => first + at));
const missingOf = (view: SourceSummary): number[] =>
  view.numberings.flatMap(({ missing }) => numbersOf(missing.map(({ range }) => range)));

/** Numbers 1 to n, each lost, named by a gap report, or sent (perhaps twice), in any order. */
const history = fc
  .array(fc.constantFrom('sent', 'sent', 'sent', 'twice', 'lost', 'named'), { minLength: 1, maxLength: 60 })
  .chain((fates) => {
    const sends = fates.flatMap((fate, at) =>
      fate === 'twice' ? [at + 1, at + 1] : fate === 'sent' ? [at + 1] : [],
    );
    return fc.record({
      fates: fc.constant(fates),
      order: fc.shuffledSubarray(
        sends.map((number, at) => ({ number, at })),
        { minLength: sends.length, maxLength: sends.length },
      ),
      tellAfter: fc.array(fc.nat({ max: 60 }), { maxLength: 5 }),
    });
  });

describe('the numbers of a runner', () => {
  test('any interleaving leaves exactly the true holes, and counts exactly the true repeats', () => {
    fc.assert(
      fc.property(history, ({ fates, order, tellAfter }) => {
        const watch = watcher();
        for (const [at, { number }] of order.entries()) {
          watch.report(number);
          if (tellAfter.includes(at)) watch.tell();
        }
        // The gap report comes last, under the next number, as the buffer writes it.
        const at = (fate: string): number[] =>
          fates.flatMap((one, index) => (one === fate ? [index + 1] : []));
        const named = at('named').map((number) => [number, number] as const);
        watch.report(fates.length + 1, 'b1', named);
        expect(missingOf(watch.view())).toEqual(at('lost'));
        expect(watch.view().repeated).toBe(at('twice').length);
        watch.tell();
        expect(alarmedOf(watch.view()).flatMap(({ ranges }) => numbersOf(ranges))).toEqual(at('lost'));
        // What comes late, or is named late, closes its hole, and the alarm with it.
        for (const number of at('lost')) watch.report(number);
        watch.tell();
        expect(alarmedOf(watch.view())).toEqual([]);
        expect(watch.view().numberings.map(({ missing, cleared }) => [missing, cleared])).toEqual([[[], []]]);
        expect(watch.view().repeated).toBe(at('twice').length);
      }),
      propertyRuns(400),
    );
  });

  test('each alarm is told once, and again only for what is new', () => {
    fc.assert(
      fc.property(history, ({ order }) => {
        const watch = watcher();
        for (const { number } of order) watch.report(number);
        watch.tell();
        expect(watch.tell()).toBe(0);
      }),
      propertyRuns(100),
    );
  });

  test('a new buffer is no alarm: one that goes on with the numbers, and one that begins at 1 again', () => {
    const watch = watcher();
    for (const number of [1, 2, 3]) watch.report(number, 'b1');
    // The file was lost and its numbers were not: the gap report names what may be missing.
    watch.report(9, 'b2', [[3, 8]]);
    watch.report(10, 'b2');
    // A publish of the first buffer that the broker stores late.
    watch.report(4, 'b1');
    // Another machine, which knows nothing of the first.
    for (const number of [1, 2]) watch.report(number, 'b3');
    expect(watch.tell()).toBe(0);
    expect(watch.view()).toMatchObject({ repeated: 0, unlisted: 0 });
    expect(watch.view().numberings.map(({ buffers, highSeq }) => [buffers, highSeq])).toEqual([
      [['b1', 'b2'], 10],
      [['b3'], 2],
    ]);
    // A copy of the first one's file repeats its numbers.
    watch.report(2, 'b1');
    expect(watch.tell()).toBe(1);
    expect(watch.view().repeated).toBe(1);
  });

  test('holes at the head count only while the stream has all it ever had', () => {
    const watch = watcher();
    watch.report(41);
    expect(dueAlarm(watch.view(), { ...RULES, isWhole: false })).toBeUndefined();
    expect(dueAlarm(watch.view(), RULES)).toMatchObject({ problem: 'missing', ranges: [[1, 40]] });
  });

  test('a hole is given its time, and a flood of repeats is told now and then', () => {
    const watch = watcher();
    watch.report(1);
    watch.report(3);
    const rules = { graceMs: 100, isWhole: true };
    expect(dueAlarm(watch.view(), { ...rules, now: 101 })).toBeUndefined();
    expect(dueAlarm(watch.view(), { ...rules, now: 102 })).toMatchObject({ ranges: [[2, 2]], reports: 1 });
    for (let again = 0; again < 5000; again += 1) watch.report(3);
    watch.tell();
    expect(watch.view()).toMatchObject({ repeated: 5000 });
    for (let again = 0; again < 5000; again += 1) watch.report(3);
    const { alarmAt } = watch.view();
    expect(dueAlarm(watch.view(), { ...rules, now: alarmAt + 99 })).toBeUndefined();
    expect(dueAlarm(watch.view(), { ...rules, now: alarmAt + 100 })).toMatchObject({
      problem: 'repeated',
      reports: 5000,
    });
  });

  test('memory is bounded, and what is no longer listed is counted', () => {
    const watch = watcher();
    for (let number = 1; number <= 4 * MAX_RANGES; number += 2) watch.report(number);
    const view = watch.view();
    expect(view.numberings[0]?.missing).toHaveLength(MAX_RANGES);
    expect(view.unlisted).toBe(MAX_RANGES - 1);
    // Below the first that is listed nothing is judged any more: no false repeat.
    watch.report(2);
    expect(watch.view().repeated).toBe(0);
    for (const buffer of ['b2', 'b3', 'b4', 'b5', 'b6']) watch.report(1, buffer);
    expect(watch.view().numberings).toHaveLength(4);
    expect(watch.view().unlisted).toBe(2 * MAX_RANGES - 1);
  });
});

test('sets of ranges hold what sets of numbers hold', () => {
  const rangeArb = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat({ max: 6 }));
  const step = fc.record({ isAdd: fc.boolean(), range: rangeArb });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const numbers = new Set<number>();
      let ranges: readonly NumberRange[] = [];
      for (const { isAdd, range } of steps) {
        const pair = [range[0], range[0] + range[1]] as const;
        ranges = isAdd ? added(ranges, pair) : removed(ranges, pair);
        for (const number of numbersOf([pair])) {
          if (isAdd) numbers.add(number);
          else numbers.delete(number);
        }
      }
      expect(numbersOf(ranges)).toEqual([...numbers].toSorted((a, b) => a - b));
      expect(sizeOf(ranges)).toBe(numbers.size);
      for (let number = 1; number < 50; number += 1)
        expect(indexHolding(ranges, number) >= 0).toBe(numbers.has(number));
    }),
    propertyRuns(300),
  );
});
