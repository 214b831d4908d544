// What is a plain value: whatever says so must be what the schema would say and make, for any schema and any value.
import { isPlainValue } from '#libs/kernel/plain-value.ts';
import { INSTRUCTION_EXAMPLES, REPORT_EXAMPLES, RUN_EXAMPLES } from '#streams/generate-examples.ts';
import { INSTRUCTIONS } from '#streams/instructions.ts';
import { REPORTS } from '#streams/reports.ts';
import { runEventSchema } from '#streams/run.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

/** What is plain is given back as it is: equal, and in the same order. */
const expectTrue = (schema: z.ZodType, value: unknown): void => {
  const parsed = schema.safeParse(value);
  expect(parsed.error).toBeUndefined();
  expect(parsed.data).toStrictEqual(value);
  expect(JSON.stringify(parsed.data)).toBe(JSON.stringify(value));
};

/** A schema of any kind with values that mostly fit it. */
interface Pair {
  readonly schema: z.ZodType;
  readonly values: fc.Arbitrary<unknown>;
}

const texts = fc.constantFrom('', 'a', 'ab', 'abcd', 'run_1', 'x', 'é', '\u{1F426}');
const numbers = fc.constantFrom(0, -0, 1, -1, 2.5, 3, 7, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY);
const anything = fc.oneof(
  texts,
  numbers,
  fc.boolean(),
  fc.constantFrom(null, undefined, [], {}, Object.create(null), new Uint8Array(1)),
  fc.jsonValue({ maxDepth: 2 }),
);

const scalars: readonly Pair[] = [
  { schema: z.string(), values: texts },
  { schema: z.string().min(1).max(3), values: texts },
  { schema: z.string().regex(/^run_\d$/), values: texts },
  { schema: z.string().regex(/a/gi), values: texts },
  { schema: z.string().min(1).regex(/a/).max(2), values: texts },
  { schema: z.string().trim(), values: fc.constantFrom('a', ' a', 'a ') },
  { schema: z.string().toUpperCase(), values: texts },
  { schema: z.uuid(), values: texts },
  { schema: z.coerce.string(), values: anything },
  { schema: z.string().refine((text) => text !== 'a'), values: texts },
  { schema: z.number(), values: numbers },
  { schema: z.int().nonnegative(), values: numbers },
  { schema: z.number().int().gt(1).lt(7), values: numbers },
  { schema: z.number().multipleOf(2), values: numbers },
  { schema: z.int32(), values: numbers },
  { schema: z.boolean(), values: fc.boolean() },
  { schema: z.literal('a'), values: texts },
  { schema: z.literal([1, 'a', null]), values: fc.oneof(texts, numbers, fc.constant(null)) },
  { schema: z.enum(['a', 'ab']), values: texts },
  { schema: z.enum({ one: 1, two: 2 }), values: fc.oneof(numbers, texts) },
  { schema: z.null(), values: fc.constant(null) },
  { schema: z.unknown(), values: anything },
  { schema: z.string().default('d'), values: texts },
  { schema: z.string().catch('c'), values: anything },
  { schema: z.string().transform((text) => text.length), values: texts },
  { schema: z.string().readonly(), values: texts },
  { schema: z.union([z.string(), z.number()]), values: fc.oneof(texts, numbers) },
  {
    schema: z.union([z.object({ a: z.string() }), z.object({ a: z.string(), b: z.string() })]),
    values: fc.record({ a: texts, b: texts }, { requiredKeys: ['a'] }),
  },
];

const NAMES = ['a', 'b', 'c', '__proto__', '1'] as const;

/** Members in any order, some absent, some too many. */
const membersOf = (members: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      fc.record(members),
      fc.shuffledSubarray(Object.keys(members), { minLength: 0 }),
      fc.option(fc.constantFrom(...NAMES), { freq: 6 }),
      fc.boolean(),
    )
    .map(([all, some, more, isInOrder]) => {
      const keys = isInOrder ? Object.keys(members) : [...some];
      const pairs: [string, unknown][] = keys.map((key) => [key, all[key]]);
      if (more !== null && !keys.includes(more)) pairs.push([more, 'more']);
      return Object.fromEntries(pairs);
    });

const composed = (inner: fc.Arbitrary<Pair>): fc.Arbitrary<Pair> =>
  fc.oneof(
    inner.map(({ schema, values }) => ({
      schema: schema.nullable(),
      values: fc.option(values),
    })),
    inner.map(({ schema, values }) => ({
      schema: schema.optional(),
      values: fc.option(values, { nil: undefined }),
    })),
    inner.map(({ schema, values }) => ({
      schema: z.array(schema).min(1).max(2),
      values: fc.array(values, { maxLength: 3 }),
    })),
    inner.map(({ schema, values }) => ({
      schema: z.record(z.string().max(2), schema),
      values: fc.dictionary(fc.constantFrom('a', 'ab', 'abc', '1', '__proto__'), values),
    })),
    fc.tuple(inner, inner).map(([one, two]) => ({
      schema: z.tuple([one.schema, two.schema]),
      values: fc.oneof(fc.tuple(one.values, two.values), fc.array(one.values, { maxLength: 3 })),
    })),
    fc
      .tuple(
        inner,
        inner,
        fc.constantFrom('strip', 'strict', 'loose', 'refined', 'told') as fc.Arbitrary<string>,
      )
      .map(([one, two, how]) => {
        const told = { kind: z.literal(how === 'told' ? 'b' : 'a') };
        const plain = z.object({ ...told, a: one.schema, b: two.schema.optional() });
        const schema = {
          strip: plain,
          strict: plain.strict(),
          loose: plain.loose(),
          refined: plain.refine(() => true),
          told: z.discriminatedUnion('kind', [z.object({ kind: z.literal('a'), a: one.schema }), plain]),
        }[how] as z.ZodType;
        const values = membersOf({
          kind: fc.constantFrom('a', 'b', 'c'),
          a: one.values,
          b: two.values,
        });
        return { schema, values };
      }),
  );

const level0 = fc.constantFrom(...scalars);
const level1 = fc.oneof(level0, composed(level0));
const pairs = fc.oneof(level0, composed(level1), composed(composed(level0)));

describe('a plain value', () => {
  it('is what its schema would make of it, of whatever kind that is', () => {
    let plain = 0;
    fc.assert(
      fc.property(
        pairs.chain(({ schema, values }) =>
          fc.tuple(fc.constant(schema), fc.oneof({ weight: 5, arbitrary: values }, anything)),
        ),
        ([schema, value]) => {
          if (!isPlainValue(schema, value)) return;
          plain += 1;
          expectTrue(schema, value);
        },
      ),
      { numRuns: 2000 },
    );
    expect(plain).toBeGreaterThan(100);
  });

  it('is each example of an event as it is stored, so that reading entries is seldom the work of a schema', () => {
    const stored = (schema: z.ZodType, example: unknown): unknown =>
      JSON.parse(JSON.stringify(schema.parse(example)));
    const events: [z.ZodType, unknown][] = [
      ...Object.entries(REPORT_EXAMPLES).map(([name, example]): [z.ZodType, unknown] => [
        REPORTS[name as keyof typeof REPORTS].schema,
        example,
      ]),
      ...Object.entries(INSTRUCTION_EXAMPLES).map(([name, example]): [z.ZodType, unknown] => [
        INSTRUCTIONS[name as keyof typeof INSTRUCTIONS].schema,
        example,
      ]),
      ...Object.values(RUN_EXAMPLES).map((example): [z.ZodType, unknown] => [runEventSchema, example]),
    ];
    for (const [schema, example] of events)
      expect(isPlainValue(schema, stored(schema, example)), JSON.stringify(example)).toBe(true);
  });

  it('is none where the schema would add, change or refuse something', () => {
    const withProto = JSON.parse('{"__proto__":1}') as unknown;
    const cases: readonly [z.ZodType, unknown][] = [
      [z.object({ a: z.string().default('d').optional() }), {}],
      [z.object({ a: z.string().default('d') }), {}],
      [z.object({ a: z.unknown() }), {}],
      [z.object({ a: z.string().optional() }), { a: undefined }],
      [z.record(z.string(), z.unknown()), withProto],
      [z.object({}), withProto],
      [z.object({}), []],
      // oxlint-disable-next-line no-sparse-arrays -- a list with a hole is what is asked about
      [z.array(z.string()), ['a', , 'c']],
      [z.string().trim(), ' a'],
      [z.string().refine(() => false), 'a'],
      [z.object({ a: z.string() }).refine(() => false), { a: 'a' }],
      [z.number(), Number.NaN],
      [z.int(), 2 ** 53],
      [z.discriminatedUnion('k', [z.object({ k: z.literal('a') })]), { k: 'b' }],
    ];
    for (const [schema, value] of cases)
      expect(isPlainValue(schema, value), JSON.stringify(value)).toBe(false);
  });

  it('is none whose keys would be dropped or put in another order', () => {
    const schema = z.object({ a: z.string(), b: z.string().optional(), c: z.string() });
    expect(isPlainValue(schema, { a: '1', c: '3' })).toBe(true);
    expect(isPlainValue(schema, { a: '1', b: '2', c: '3' })).toBe(true);
    expect(isPlainValue(schema, { c: '3', a: '1' })).toBe(false);
    expect(isPlainValue(schema, { a: '1', c: '3', d: '4' })).toBe(false);
    expect(isPlainValue(schema, { a: '1' })).toBe(false);
  });
});
