// Every entry that was ever released is still read, and reads as the same thing. The files are frozen: run.ts only adds.
import { CATALOGUE, readEntry } from '#streams/catalogue.ts';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { goldenName, SUMS, sumOf } from './golden-files.ts';
import { LATER_FORMS } from './later-forms.ts';

const goldenSchema = z.object({
  subject: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
  reads: z.record(z.string(), z.unknown()),
});

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');
const names = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.json'));
const sums = new Map(
  readFileSync(SUMS, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => [line.slice(66), line.slice(0, 64)]),
);

for (const name of names)
  test(`${name} is read as it was when it was released`, () => {
    const { reads, body, ...stored } = goldenSchema.parse(JSON.parse(read(name)));
    const reading = readEntry({ ...stored, body: new TextEncoder().encode(body) });
    expect(reading).toMatchObject(reads);
  });

test('no golden entry was changed or lost', () => {
  expect(Object.fromEntries(names.map((name) => [name, sumOf(read(name))]))).toEqual(
    Object.fromEntries(sums),
  );
});

test('every event type has a golden entry; a missing one is recorded with: node test/golden/run.ts', () => {
  expect(CATALOGUE.map(({ type }) => goldenName(type)).filter((name) => !names.includes(name))).toEqual([]);
});

test('every later form of an event has a golden entry; a missing one is recorded with: node test/golden/run.ts', () => {
  expect(Object.keys(LATER_FORMS).filter((name) => !names.includes(name))).toEqual([]);
});
