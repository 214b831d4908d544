// Rows in order: the same as a sorted list, whatever is added and taken out, also when chunks are split and emptied.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createOrderedIndex, type OrderedIndex, type Walk } from '#libs/projections/ordered-index.ts';
import { mergeWalks, takeRows } from '#libs/projections/walks.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const compare = (a: number, b: number): number => a - b;
const index = (
  rows: Iterable<number> = [],
  firstOf?: (row: number) => number,
): OrderedIndex<number, number> => {
  const made = createOrderedIndex<number, number>(compare, firstOf);
  for (const row of rows) made.add(row);
  return made;
};
const all = (walk: Walk<number>): number[] => {
  const rows: number[] = [];
  for (; walk.row !== undefined; walk.advance()) rows.push(walk.row);
  return rows;
};
const sorted = (rows: Iterable<number>): number[] => [...rows].toSorted(compare);

describe('an ordered index', () => {
  test('is a sorted set under any additions and removals, from any place on', () => {
    const step = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 300 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: -1, max: 301 }), (steps, place) => {
        const made = index();
        const model = new Set<number>();
        for (const [isAdded, row] of steps) {
          if (isAdded) made.add(row);
          else made.remove(row);
          if (isAdded) model.add(row);
          else model.delete(row);
        }
        expect(made.size).toBe(model.size);
        expect(all(made.walk())).toEqual(sorted(model));
        expect(all(made.walk(place))).toEqual(sorted(model).filter((row) => row > place));
        expect(made.rank(place)).toBe(sorted(model).filter((row) => row < place).length);
      }),
      propertyRuns(200),
    );
  });

  test('holds far more than one chunk, and lets go of all of it', () => {
    const rows = Array.from({ length: 20_000 }, (_, at) => (at * 7919) % 20_000);
    const made = index(rows);
    expect(all(made.walk())).toEqual(sorted(rows));
    expect(made.rank(12_345)).toBe(12_345);
    for (const row of rows) if (row % 3 !== 0) made.remove(row);
    expect(all(made.walk(9000))).toEqual(sorted(rows).filter((row) => row > 9000 && row % 3 === 0));
    for (const row of rows) made.remove(row);
    expect(all(made.walk())).toEqual([]);
    made.add(5);
    expect(all(made.walk())).toEqual([5]);
  });

  test('is the same whether rows come one by one or many at once, some of them again', () => {
    const rowsArb = fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 100, maxLength: 1000 });
    fc.assert(
      fc.property(rowsArb, rowsArb, (first, second) => {
        const [made, single] = [index(first, (row) => Math.floor(row / 10)), index()];
        for (const row of first) {
          single.add(row);
          single.sort();
        }
        expect(all(made.walk())).toEqual(all(single.walk()));
        for (const row of second) made.add(row);
        expect(all(made.walk())).toEqual(sorted(new Set([...first, ...second])));
        expect(made.size).toBe(new Set([...first, ...second]).size);
      }),
      propertyRuns(50),
    );
  });

  test('walks that are merged are one order, and pages of them end where they say', () => {
    const rowsArb = fc.uniqueArray(fc.integer({ min: 0, max: 500 }), { maxLength: 60 });
    fc.assert(
      fc.property(
        rowsArb,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 70 }),
        (rows, parts, limit) => {
          const indexes = Array.from({ length: parts }, (_, part) =>
            index(rows.filter((row) => row % parts === part)),
          );
          const merged = (): Walk<number> =>
            mergeWalks(
              compare,
              indexes.map((one) => one.walk()),
            );
          expect(all(merged())).toEqual(sorted(rows));
          const even = sorted(rows).filter((row) => row % 2 === 0);
          const page = takeRows([merged()], limit, (row) => row % 2 === 0);
          expect(page).toEqual({ rows: even.slice(0, limit), hasMore: even.length > limit });
        },
      ),
      propertyRuns(200),
    );
  });
});
