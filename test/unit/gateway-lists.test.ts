// Cursors, pages and subject filters of the HTTP API: laws over any input.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatListCursor,
  formatPosition,
  isBefore,
  parseListCursor,
  parsePosition,
  type ListPosition,
} from '#services/gateway/cursor.ts';
import { TimeIndex } from '#services/gateway/time-index.ts';
import { intersectFilters, isFilter, matchesFilter } from '#services/gateway/subject-filter.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const idArb = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const positionArb: fc.Arbitrary<ListPosition> = fc.record({ atMs: fc.nat({ max: 50 }), id: idArb });

describe('cursors', () => {
  test('come back as they were given', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), positionArb, (transitions, events, position) => {
        expect(parsePosition(formatPosition({ transitions, events }))).toEqual({ transitions, events });
        expect(parseListCursor(formatListCursor(position))).toEqual(position);
      }),
      propertyRuns(200),
    );
  });

  test('that nobody gave are refused', () => {
    for (const text of ['', 't1', 't1.e', 't-1.e2', 't1.e2.', 'e1.t2', 't1e2', 't1.e99999999999999999'])
      expect(() => parsePosition(text)).toThrow(/not a cursor/);
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseListCursor(text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'CURSOR_INVALID' });
        }
      }),
      propertyRuns(200),
    );
  });
});

test('pages of any size show a list whole, in order and each item once', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(positionArb, { selector: ({ id }) => id, maxLength: 40 }),
      fc.integer({ min: 1, max: 7 }),
      (items, limit) => {
        const index = new TimeIndex<ListPosition>(({ id }) => id.slice(0, 1));
        for (const item of items) index.add(item);
        const seen: ListPosition[] = [];
        let after: ListPosition | undefined;
        for (;;) {
          const page = index.page(
            { after, limit },
            () => true,
            () => true,
          );
          expect(page.rows.length).toBeLessThanOrEqual(limit);
          seen.push(...page.rows);
          if (page.next === null) break;
          after = parseListCursor(page.next);
        }
        expect(seen).toEqual(items.toSorted((a, b) => (isBefore(a, b) ? -1 : 1)));
      },
    ),
    propertyRuns(300),
  );
});

const tokenArb = fc.constantFrom('a', 'b');
const subjectArb = fc.array(tokenArb, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join('.'));
const filterArb = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([tokens, isOpen]) => (isOpen ? [...tokens, '>'] : tokens).join('.'));

describe('subject filters', () => {
  test('the intersection of two matches exactly what both match', () => {
    fc.assert(
      fc.property(filterArb, filterArb, subjectArb, (a, b, subject) => {
        const common = intersectFilters(a, b);
        const isInBoth = matchesFilter(a, subject) && matchesFilter(b, subject);
        expect(common !== undefined && matchesFilter(common, subject)).toBe(isInBoth);
        if (common !== undefined) expect(isFilter(common)).toBe(true);
      }),
      propertyRuns(2000),
    );
  });

  test('of a wrong shape are refused', () => {
    for (const filter of ['fleet.>', '*', '>', 'a.*.b']) expect(isFilter(filter)).toBe(true);
    for (const filter of ['', 'a..b', '.a', 'a.', '>.a', 'a.>.b', 'a b', 'a.*b'])
      expect(isFilter(filter)).toBe(false);
  });
});
