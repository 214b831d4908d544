// One filter for several: what is asked of the broker in place of them.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { byteTest, isWithin, joinedFilters, subjectPattern } from '#libs/nats/subject-filter.ts';

describe('several filters become one', () => {
  test.each([
    [
      'that differ in one token with nothing but wildcards after it',
      ['a.*.run.*.*', 'a.*.task.*.*'],
      ['a.*.*.*.*'],
    ],
    ['with a tail', ['a.run.>', 'a.task.>'], ['a.*.>']],
  ])('%s', (_, filters, joined) => {
    expect(joinedFilters(filters)).toEqual(joined);
  });

  test.each([
    ['that end in what they differ in: they have few subjects', ['a.*.text', 'a.*.usage']],
    ['with a literal behind it', ['a.run.*.x', 'a.task.*.x']],
    ['that differ in two tokens', ['a.run.*.*', 'b.task.*.*']],
    ['of other lengths', ['a.run.*.*', 'a.task.*']],
    ['of which there is one', ['a.run.*']],
    ['of which there is none', []],
  ])('but none %s', (_, filters) => {
    expect(joinedFilters(filters)).toBe(filters);
  });

  const token = fc.constantFrom('a', 'b', 'c', '*');
  const filter = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join('.'));

  test('and it stands for all that they stand for', () => {
    fc.assert(
      fc.property(fc.array(filter, { minLength: 1, maxLength: 4 }), (filters) => {
        const joined = joinedFilters(filters);
        for (const one of filters) expect(joined.some((wide) => isWithin(one, wide))).toBe(true);
      }),
    );
  });
});

test('a subject is looked for by its bytes as by its text, where no wildcard stands before the end', () => {
  const name = fc.constantFrom('a', 'ab', 'b', '$KV');
  const subject = fc.array(name, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join('.'));
  const filter = fc.tuple(subject, fc.constantFrom('', '.>')).map((parts) => parts.join(''));
  fc.assert(
    fc.property(
      fc.array(fc.oneof(filter, fc.constant('>')), { minLength: 1, maxLength: 3 }),
      subject,
      (filters, of) => {
        const isOf = byteTest(filters)?.(Buffer.from(of));
        expect(isOf).toBe(filters.some((one) => isWithin(of, one)));
        expect(isOf).toBe(subjectPattern(filters).test(of));
      },
    ),
  );
  expect(byteTest(['a.>', 'a.*.b'])).toBeUndefined();
});
