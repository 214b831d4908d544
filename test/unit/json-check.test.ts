// The check of stored values that makes nothing: what it calls JSON the engine's parser takes as well, with as many values.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isPlainList } from '#libs/projections/json-check.ts';

const check = (bytes: Uint8Array, count: number): boolean => {
  // It stands in the middle of others.
  const around = Buffer.concat([Buffer.from('}]"'), bytes, Buffer.from(',1]}')]);
  return isPlainList(around, 3, 3 + bytes.length, count);
};

const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
};

test('a list is plainly one: texts, numbers, words, and what is made of them', () => {
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.string(),
      fc.string({ unit: 'grapheme' }),
      fc.integer(),
      fc.double({ noNaN: true }).filter((number) => !JSON.stringify(number).includes('e')),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value')),
      fc.dictionary(fc.string(), tie('value')),
    ),
  })).value;
  fc.assert(
    fc.property(fc.array(plain), (list) => {
      const text = JSON.stringify(list);
      if (!text.includes(String.raw`\u`)) expect(check(Buffer.from(text), list.length)).toBe(true);
      expect(check(Buffer.from(text), list.length + 1)).toBe(false);
    }),
  );
});

test('whatever becomes of its bytes, what is called a list is one', () => {
  const tokens = [
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '"',
    '\\',
    'a',
    '0',
    '1',
    '-',
    '.',
    'e',
    'true',
    'nul',
    '\n',
    'u0041',
  ];
  const soup = fc.array(fc.constantFrom(...tokens)).map((parts) => Buffer.from(`[${parts.join('')}]`));
  const bent = fc.tuple(fc.json(), fc.nat(), fc.constantFrom(...tokens)).map(([json, at, token]) => {
    const text = `[${json},"x"]`;
    const cut = at % text.length;
    return Buffer.from(text.slice(0, cut) + token + text.slice(cut + 1));
  });
  fc.assert(
    fc.property(fc.oneof(soup, bent), fc.integer({ min: 0, max: 6 }), (bytes, count) => {
      if (check(bytes, count)) expect(parsed(bytes)).toHaveLength(count);
    }),
    { numRuns: 2000 },
  );
});

test('what is nested without end is left to who can say no', () => {
  const deep = Buffer.from('['.repeat(100_000) + ']'.repeat(100_000));
  expect(check(deep, 1)).toBe(false);
});
