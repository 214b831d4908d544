// Ids and names as they appear on the wire.
import { systemIds } from '#libs/system/ids.ts';
import {
  commandIdSchema,
  ID_PREFIX,
  idFromDigest,
  makeId,
  nameSchema,
  runIdSchema,
  sessionIdSchema,
  turnIdSchema,
} from '#streams/ids.ts';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { propertyRuns } from '#test/support/seeds.ts';

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const SCHEMAS = { run: runIdSchema, command: commandIdSchema, session: sessionIdSchema, turn: turnIdSchema };

test('an id is a prefix and a ULID', () => {
  for (const [kind, schema] of Object.entries(SCHEMAS) as [keyof typeof SCHEMAS, typeof runIdSchema][]) {
    const id = makeId(kind, systemIds.ulid());
    expect(id.startsWith(`${ID_PREFIX[kind]}_`)).toBe(true);
    expect(schema.safeParse(id).success).toBe(true);
  }
});

test('an id of another kind, in lower case, too short or with a forbidden letter is refused', () => {
  const ulid = systemIds.ulid();
  for (const bad of [
    makeId('session', ulid),
    `run_${ulid.toLowerCase()}`,
    `run_${ulid.slice(1)}`,
    `run_${ulid}0`,
    `run_${ulid.slice(0, 25)}U`,
    `run_8${ulid.slice(1)}`,
    ` run_${ulid}`,
    `run_${ulid}\n`,
  ])
    expect(runIdSchema.safeParse(bad).success, JSON.stringify(bad)).toBe(false);
});

test('the same digest gives the same id, another digest another one, and both are valid', () => {
  const digest = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
  expect(idFromDigest('run', digest(255))).toBe(idFromDigest('run', digest(255)));
  expect(idFromDigest('run', digest(255))).not.toBe(idFromDigest('run', digest(254)));
  for (const fill of [0, 1, 127, 255])
    expect(runIdSchema.safeParse(idFromDigest('run', digest(fill))).success).toBe(true);
});

test('an id of a digest is its number in base 32, as it was ever made: what is stored is found again', () => {
  const numbered = Uint8Array.from({ length: 16 }, (_, at) => at * 17);
  expect(idFromDigest('run', numbered)).toBe('run_0024H36H2NCSVRH6DAQF6DVVQZ');
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (digest) => {
      const number = BigInt(`0x${Buffer.from(digest).toString('hex')}`)
        .toString(32)
        .padStart(26, '0');
      const letters = number.replaceAll(/./g, (letter) => CROCKFORD.charAt(Number.parseInt(letter, 32)));
      expect(idFromDigest('run', digest)).toBe(`run_${letters}`);
    }),
    propertyRuns(100),
  );
});

test('only the first 16 bytes of a digest count', () => {
  const long = new Uint8Array(32).map((_, i) => i);
  expect(idFromDigest('run', long)).toBe(idFromDigest('run', long.slice(0, 16)));
});

test('a name is one lower-case token of at most 64 characters', () => {
  for (const good of ['a', '0', 'builder-1', 'a_b', 'x'.repeat(64)])
    expect(nameSchema.safeParse(good).success, good).toBe(true);
  for (const bad of ['', 'A', '-a', '_a', 'a.b', 'a b', 'ä', 'a\n', '*', 'x'.repeat(65)])
    expect(nameSchema.safeParse(bad).success, JSON.stringify(bad)).toBe(false);
});
