// Laws of the redactor over texts and values made of what it looks for: glued, cut off, nested, escaped.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { propertyRuns } from '#test/support/seeds.ts';

/** Secrets are built from parts, so that no scanner takes this file for a leak. */
const glue = (...parts: readonly string[]): string => parts.join('');

const keyHeader = glue('-----BEGIN ', 'PRIVATE KEY-----');

const literal = 'kn0wn-literal-value';
const redactor = createRedactor({ literals: [literal] });

const secrets = [
  glue('AKIA', 'IOSFODNN7EXAMPLE'),
  glue('ghp_', 'abcdefghijklmnopqrstuvwxyz0123456789'),
  glue('sk-ant-', 'api03-abcdefghijklmnop0123'),
  glue('xoxb-', '123456789012-abcdefghijkl'),
  glue('eyJhbGciOiJIUzI1NiJ9.', 'eyJzdWIiOiIxMjM0NTY3ODkwIn0', '.', 'dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P'),
  literal,
];

const pieces = [
  ...secrets,
  'password',
  'token',
  'api_key',
  'Authorization',
  'Cookie',
  '--secret',
  '=',
  ':',
  ': ',
  ' = ',
  '=>',
  '"',
  "'",
  '\\"',
  '\\',
  '`',
  ' ',
  '\n',
  'Bearer ',
  'bearer',
  'https://',
  '://',
  '@',
  'u:p@h',
  keyHeader,
  '-----END PRIVATE KEY-----',
  'MIIEvgIBADANBgkq',
  'eyJ',
  '.',
  'sk-',
  'ghp_',
  'hunter2',
  'word',
  '1',
  '[redacted:jwt]',
  '[redacted:',
  ']',
  '$X',
  '{',
  '}',
  ',',
  ';',
  '&',
  '#',
  '_',
  '-',
  '/',
  '(',
  'é',
  '\u{1F512}',
  '\uD800',
];

const anyText = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...pieces) },
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    { maxLength: 24 },
  )
  .map((parts) => parts.join(''));

const anyValue = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    anyText,
    fc.constantFrom<unknown>(null, true, 0, 12.5, -1),
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof(fc.constantFrom('password', 'token', 'tokens', 'name', 'value', 'credential', 'a'), anyText),
      tie('node'),
      {
        maxKeys: 4,
        noNullPrototype: true,
      },
    ),
  ),
})).node;

const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value === 'object' && value !== null) return Object.values(value).map(shapeOf);
  return 'leaf';
};

describe('the redactor', () => {
  test('finds nothing more in a text on a second pass', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const once = redactor.text(text).value;
        expect(redactor.text(once)).toEqual({ value: once, found: 0, byRule: {} });
      }),
      propertyRuns(5_000),
    );
  });

  test('finds nothing more in a value on a second pass, and keeps its structure', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const once = redactor.value(value);
        expect(redactor.value(once.value)).toEqual({ value: once.value, found: 0, byRule: {} });
        expect(shapeOf(once.value)).toEqual(shapeOf(value));
        if (once.found === 0) expect(once.value).toBe(value);
      }),
      propertyRuns(2_000),
    );
  });

  test('leaves no token behind that stands between ordinary characters', () => {
    fc.assert(
      fc.property(anyText, fc.constantFrom(...secrets), anyText, (before, secret, after) => {
        fc.pre(!before.includes(secret) && !after.includes(secret));
        expect(redactor.text(`${before} ${secret} ${after}`).value).not.toContain(secret);
      }),
      propertyRuns(2_000),
    );
  });

  test('treats a body as it treats the value that the body is', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const body = new TextEncoder().encode(JSON.stringify({ value }));
        const viaBytes: unknown = JSON.parse(new TextDecoder().decode(redactor.bytes(body).value));
        const read: unknown = JSON.parse(new TextDecoder().decode(body));
        expect(viaBytes).toEqual(redactor.value(read).value);
      }),
      propertyRuns(2_000),
    );
  });

  test('never throws and leaves texts alone that have no candidate', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const { value, found } = redactor.text(text);
        if (found === 0) expect(value).toBe(text);
      }),
      propertyRuns(2_000),
    );
  });
});

// Each would take hours if what is looked at after an anchor were looked at again and again: the test is that they end.
describe('two megabytes of one candidate', () => {
  test.each([
    'eyJ',
    'eyJaaaaaaaaaaaa.',
    'token',
    'token=',
    'token="',
    'token=\\"',
    'token\\',
    keyHeader,
    `${keyHeader}\n`,
    '://',
    '://a',
    '://a:b@',
    'Bearer ',
    'sk-',
    ' ghp_',
    '-password ',
    'cookie: a=',
    'token: $',
    'token=a(',
    'secret: a.b ',
    'token:               ',
  ])('%j', (unit) => {
    const text = unit.repeat(Math.ceil(2_000_000 / unit.length));
    expect(redactor.text(text).value.length).toBeGreaterThan(0);
  });
});
