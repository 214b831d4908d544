// The one table of refusals: each code is well formed, documented, given by some service and tested somewhere.
import { REJECTION_KINDS, REJECTIONS } from '#streams/rejections.ts';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const textOf = (...patterns: string[]): string =>
  globSync(patterns, { cwd: ROOT })
    .filter((path) => !path.endsWith('streams-rejections.test.ts'))
    .map((path) => readFileSync(join(ROOT, path), 'utf8'))
    .join('\n');

const page = readFileSync(join(ROOT, 'streams/README.md'), 'utf8');
const owners = textOf('services/**/*.ts');
/** Rules that services share give refusals, too, as far as a service uses them. */
const sharedRules = globSync('streams/*.policy.ts', { cwd: ROOT }).filter((path) =>
  owners.includes(`from '#${path}'`),
);
const services = owners + textOf(...sharedRules);
const tests = textOf('test/**/*.ts');

test('every rule that services share is used by one', () => {
  expect(sharedRules).toEqual(globSync('streams/*.policy.ts', { cwd: ROOT }));
});

describe.for(Object.entries(REJECTIONS))('%s', ([code, { kind, meaning }]) => {
  test('is a noun and a state, of a known kind, with a sentence for its meaning', () => {
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)+$/);
    expect(REJECTION_KINDS).toContain(kind);
    expect(meaning).toMatch(/^[A-Z].*\.$/);
  });

  test('is documented, given and tested', () => {
    expect(page).toContain(`| \`${code}\` | ${kind} |`);
    expect(services, 'no service gives it').toContain(`'${code}'`);
    expect(tests, 'no test knows it').toContain(code);
  });
});
