// Subjects and filters: what matches what, and which filters are parts of others.
import {
  createSubjectMatcher,
  isLiteralSubject,
  isSubjectFilter,
  isSubsetFilter,
  matchesSubject,
} from '#libs/memory/subject-match.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const token = fc.constantFrom('a', 'b', 'c');
const subjects = fc.array(token, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join('.'));
const filters = fc
  .tuple(fc.array(fc.oneof(token, fc.constant('*')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([tokens, isOpen]) => [...tokens, ...(isOpen ? ['>'] : [])].join('.'));

/** The rule as a regular expression. */
const patternOf = (filter: string): RegExp =>
  new RegExp(
    `^${filter
      .split('.')
      .map((one) => (one === '*' ? '[^.]+' : one === '>' ? '.+' : one))
      .join('\\.')}$`,
  );

describe('subject matching', () => {
  it('agrees with the rule written as a regular expression', () => {
    const property = fc.property(filters, subjects, (filter, subject) => {
      expect(matchesSubject(filter, subject)).toBe(patternOf(filter).test(subject));
    });
    fc.assert(property, propertyRuns(500));
  });

  it.each([
    ['>', 'a', true],
    ['a.>', 'a', false],
    ['a.>', 'a.b.c', true],
    ['a.*', 'a.b.c', false],
    ['*', 'a.b', false],
    ['a.*.c', 'a.b.c', true],
    ['a.b', 'a.b', true],
  ])('%s and %s: %s', (filter, subject, matches) => {
    expect(matchesSubject(filter, subject)).toBe(matches);
  });

  it('calls a filter a part of another only if all that it matches is matched by the other', () => {
    const property = fc.property(filters, filters, subjects, (narrow, wide, subject) => {
      if (isSubsetFilter(narrow, wide) && matchesSubject(narrow, subject))
        expect(matchesSubject(wide, subject)).toBe(true);
      expect(isSubsetFilter(narrow, narrow)).toBe(true);
      expect(isSubsetFilter(narrow, '>')).toBe(true);
    });
    fc.assert(property, propertyRuns(500));
    expect(isSubsetFilter('a.>', 'a.*')).toBe(false);
    expect(isSubsetFilter('a.*', 'a.b')).toBe(false);
    expect(isSubsetFilter('a.b', 'a.*')).toBe(true);
  });

  it('tells literal subjects and filters from what is neither', () => {
    for (const literal of ['a', 'a.b', 'fleet.t.p.run.3.run_01'])
      expect(isLiteralSubject(literal)).toBe(true);
    for (const filter of ['*', 'a.*', 'a.>', '>']) {
      expect(isLiteralSubject(filter)).toBe(false);
      expect(isSubjectFilter(filter)).toBe(true);
    }
    for (const neither of ['', '.', 'a.', '.a', 'a..b', 'a b', 'a\nb', '>.a', 'a.>.b'])
      expect(isSubjectFilter(neither)).toBe(false);
  });

  it('matches everything without filters, and any of several', () => {
    expect(createSubjectMatcher(undefined)('a')).toBe(true);
    expect(createSubjectMatcher([])('a.b')).toBe(true);
    const either = createSubjectMatcher(['a.*', 'b.>']);
    expect(['a.1', 'a.1', 'b.1.2', 'c.1', 'a'].map(either)).toEqual([true, true, true, false, false]);
  });
});
