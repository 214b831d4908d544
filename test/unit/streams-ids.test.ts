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
import { expect, test } from 'vitest';

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
