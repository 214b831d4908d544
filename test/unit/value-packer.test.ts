// Values taken apart without parsing them, and the bytes they are kept in.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteStore } from '#libs/projections/byte-store.ts';
import { JsonWriter } from '#libs/projections/json-writer.ts';
import { listAt, unpack, ValuePacker } from '#libs/projections/value-packer.ts';
import { jsonBytes } from '#streams/entry.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const through = (packer: ValuePacker, bytes: Uint8Array) => {
  const { shape, length } = packer.pack(bytes);
  const fields = { ...packer.fields(shape) };
  return { value: unpack(shape, packer.bytes.toString('utf8', listAt(shape), length)), fields };
};

const anyObject = fc
  .dictionary(
    fc.string().filter((name) => name !== '__proto__'),
    fc.jsonValue(),
    { minKeys: 1, maxKeys: 8 },
  )
  .map((value) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>);

describe('a packed value', () => {
  test('is what it was, however it was written and whatever came before', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyObject, fc.boolean()), { maxLength: 6 }), (values) => {
        const packer = new ValuePacker(['a', 'b']);
        for (const [object, isSpaced] of [...values, ...values]) {
          const value = { ...object, a: 'x', b: object };
          const bytes = isSpaced ? Buffer.from(JSON.stringify(value, undefined, 2)) : jsonBytes(value);
          expect(through(packer, bytes)).toEqual({ value, fields: { a: 'x', b: object } });
        }
      }),
      propertyRuns(100),
    );
  });

  test('gives the fields that are wanted, and only those', () => {
    const packer = new ValuePacker(['n', 'text', 'gone']);
    const values = [
      { n: 1, text: 'plain', other: 1 },
      { n: -1.5e10, text: 'ä "quoted" \\', other: 2 },
      { n: 12_345_678_901_234_567_000, text: 'plain', other: { n: 7 } },
      { n: null, text: ['plain'], other: '}' },
    ];
    for (const { n, text, other } of values)
      expect(through(packer, jsonBytes({ n, text, other })).fields).toEqual({ n, text });
  });

  test('is refused when it is no JSON object, even one that begins like the one before', () => {
    const packer = new ValuePacker(['n']);
    packer.pack(jsonBytes({ n: 1, m: 2 }));
    for (const bad of [
      '{"n":1,"m":2',
      '{"n":1,"m":2}}',
      '{"n":1,"m":2} x',
      '{"n":1,"m":',
      '',
      'null',
      '7',
      '{}',
    ])
      expect(() => packer.pack(Buffer.from(bad)), bad).toThrow();
    const { shape, length } = packer.pack(Buffer.from('{"n":1,"m":}'));
    expect(() => unpack(shape, packer.bytes.toString('utf8', listAt(shape), length))).toThrow();
  });
});

describe('a packed value that is written out', () => {
  test('is what it was, however long its fields are and wherever it was kept', () => {
    const length = fc.oneof(fc.nat(40), fc.integer({ min: 250, max: 262 }), fc.nat(3000));
    const text = fc
      .tuple(length, fc.constantFrom('x', 'ä', '"', '\\', '{', ','))
      .map(([n, one]) => one.repeat(n));
    const value = fc.record({
      a: text,
      list: fc.array(fc.jsonValue()),
      n: fc.double({ noNaN: true }),
      z: text,
    });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 5 }), (values) => {
        const packer = new ValuePacker([]);
        const store = new ByteStore();
        const places = values.map((one) => {
          const { shape, length: size } = packer.pack(jsonBytes(one));
          return { shape, length: size, place: store.add(packer.bytes, size) };
        });
        const writer = new JsonWriter();
        writer.begin('[');
        for (const [n, { shape, length: size, place }] of places.entries()) {
          if (n > 0) writer.text(',');
          writer.packed(shape, { area: store.area(place), at: store.at(place), length: size }, '{"more":1}');
        }
        writer.text(']');
        const plain = values.map((one) => ({ ...one, more: 1 }));
        expect(Buffer.from(writer.written()).toString()).toBe(JSON.stringify(plain));
      }),
      propertyRuns(100),
    );
  });
});

describe('a store of bytes', () => {
  test('gives back what was put, and holds no more than was there at once', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(600), fc.boolean()), { maxLength: 60 }), (steps) => {
        const store = new ByteStore();
        const kept: { place: number; text: string }[] = [];
        for (const [length, isTaken] of steps) {
          const text = String.fromCharCode(97 + (length % 26)).repeat(length);
          kept.push({ place: store.add(Buffer.from(text), length), text });
          const oldest = isTaken ? kept.shift() : undefined;
          if (oldest !== undefined) store.remove(oldest.place, oldest.text.length);
          for (const one of kept) expect(store.text(one.place, one.text.length)).toBe(one.text);
        }
      }),
      propertyRuns(30),
    );
    const store = new ByteStore();
    for (let n = 0; n < 20; n += 1) {
      for (const length of [100, 700_000, 2_000_000])
        store.remove(store.add(Buffer.alloc(length), length), length);
    }
    expect(store.bytesHeld).toBeLessThanOrEqual(1024 * 1024);
  });
});
