// The values of a read view: kept small, given back as they came, and followed by their rows.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonWriter } from '#libs/projections/json-writer.ts';
import { ViewCells } from '#libs/projections/view-cells.ts';
import { jsonBytes } from '#streams/entry.ts';

interface Row {
  readonly n: number;
}

const cells = (keepsLast?: number, fields?: readonly string[]) => {
  const invalid: string[] = [];
  const parsed: unknown[] = [];
  const made = new ViewCells<{ readonly n: number }, Row>({
    projection: {
      name: 'p',
      bucket: 'p',
      parse: (value) => {
        parsed.push(value);
        return value as { n: number };
      },
    },
    onInvalid: (key) => invalid.push(key),
    rowOf: (value) => {
      const { n } = value as { readonly n?: unknown };
      if (typeof n !== 'number') throw new Error('no n');
      return { n };
    },
    ...(keepsLast !== undefined && { keepsLast }),
    ...(fields !== undefined && { fields }),
  });
  const put = (key: string, value: object): void =>
    made.put({ key, value: jsonBytes(value), revision: 1, writtenAt: 0 });
  const putBytes = (key: string, text: string): void =>
    made.put({ key, value: Buffer.from(text), revision: 1, writtenAt: 0 });
  return { made, put, putBytes, invalid, parsed };
};

/** What is written of a key, as JSON, with fields that it goes on with; undefined: nothing. */
const writtenOf = (made: ViewCells<{ readonly n: number }, Row>, key: string, more: object): unknown => {
  const writer = new JsonWriter();
  writer.begin('[');
  const isThere = made.write(key, writer, {
    before: '7,',
    more: Object.keys(more).length === 0 ? '}' : JSON.stringify(more),
  });
  writer.text(']');
  const text = Buffer.from(writer.written()).toString('utf8');
  if (!isThere) expect(text).toBe('[]');
  return isThere ? (JSON.parse(text) as readonly unknown[])[1] : undefined;
};

describe('the cells of a view', () => {
  test('give values back as they came, whatever their fields and the order of them', () => {
    const { made, put } = cells();
    const values = [
      { seq: 1, n: 1, more: { deep: [1, { x: null }] }, text: 'ä "quoted"' },
      { n: 2, seq: 2 },
      { seq: 3, n: 3, more: null, text: '' },
    ];
    for (const [at, value] of values.entries()) put(`k${at}`, value);
    for (const [at, { seq, ...state }] of values.entries())
      expect(made.get(`k${at}`)).toEqual({ seq, state });
  });

  test('tell of a row what was and what is, once for values that come in quick succession', () => {
    const { made, put, invalid } = cells();
    put('a', { seq: 1, n: 1 });
    const told: (readonly [number | undefined, number | undefined])[] = [];
    made.follow((before, after) => told.push([before?.n, after?.n]));
    put('a', { seq: 2, n: 2 });
    put('a', { seq: 3, n: 3 });
    expect(made.row('a')).toEqual({ n: 1 });
    expect(made.get('a')?.state.n).toBe(3);
    made.settle();
    put('a', { seq: 4, n: 'none' });
    made.settle();
    expect(made.get('a')).toBeUndefined();
    expect(invalid).toEqual(['a']);
    put('b', { seq: 5, n: 5 });
    made.remove('b');
    expect(told).toEqual([
      [undefined, 1],
      [1, 3],
      [3, undefined],
      [undefined, 5],
      [5, undefined],
    ]);
  });

  test('that are loaded are there at once, and in their turn after what waits', () => {
    const { made, put, invalid } = cells();
    const load = (key: string, value: object): void =>
      made.load({ key, value: jsonBytes(value), revision: 1, writtenAt: 0 });
    load('a', { seq: 1, n: 1 });
    expect(made.row('a')).toEqual({ n: 1 });
    load('b', { seq: 2, n: 'none' });
    expect(invalid).toEqual(['b']);
    expect(made.get('b')).toBeUndefined();
    put('a', { seq: 3, n: 3 });
    load('a', { seq: 4, n: 4 });
    made.settle();
    expect(made.get('a')).toEqual({ seq: 4, state: { n: 4 } });
    expect(made.size).toBe(2);
  });

  test('are written out unparsed where they have just the fields of a value, whatever is in those', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }),
        (deep, more) => {
          const { made, put, parsed } = cells(undefined, ['seq', 'n', 'deep']);
          const value = { seq: 1, n: 2, deep: JSON.parse(JSON.stringify(deep)) as unknown };
          put('a', value);
          const added = JSON.parse(JSON.stringify({ more })) as object;
          expect(writtenOf(made, 'a', added)).toEqual({ ...value, ...added });
          expect(writtenOf(made, 'a', {})).toEqual(value);
          expect(parsed).toEqual([]);
        },
      ),
    );
  });

  test('are parsed before they are written where fields are missing, more, or not known; and left out where they are none', () => {
    const { made, put, putBytes, parsed, invalid } = cells(undefined, ['seq', 'n', 'deep']);
    put('less', { seq: 1, n: 2 });
    put('more', { seq: 1, n: 2, deep: 3, old: 4 });
    putBytes('broken', '{"seq":1,"n":2,"deep":x}');
    expect(writtenOf(made, 'less', { m: 1 })).toEqual({ seq: 1, n: 2, m: 1 });
    expect(writtenOf(made, 'more', {})).toEqual({ seq: 1, n: 2, deep: 3, old: 4 });
    expect(parsed).toEqual([{ n: 2 }, { n: 2, deep: 3, old: 4 }]);
    put('good', { seq: 1, n: 2, deep: 3 });
    expect(writtenOf(made, 'good', {})).toEqual({ seq: 1, n: 2, deep: 3 });
    putBytes('good', '{"seq":1,"n":2,"deep":x}');
    expect(writtenOf(made, 'good', {})).toBeUndefined();
    expect(writtenOf(made, 'broken', {})).toBeUndefined();
    expect(writtenOf(made, 'gone', {})).toBeUndefined();
    expect(invalid.toSorted()).toEqual(['broken', 'good']);
  });

  test('let go of what was changed longest ago where only the last are kept', () => {
    const { made, put } = cells(2);
    put('a', { seq: 1, n: 1 });
    put('b', { seq: 2, n: 2 });
    put('a', { seq: 3, n: 3 });
    made.settle();
    put('c', { seq: 4, n: 4 });
    expect([...made.keys()]).toEqual(['a', 'c']);
    expect(made.size).toBe(2);
    expect(made.get('b')).toBeUndefined();
  });
});
