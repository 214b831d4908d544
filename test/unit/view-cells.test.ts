// The values of a read view: kept small, given back as they came, and followed by their rows.
import { describe, expect, test } from 'vitest';
import { ViewCells } from '#libs/projections/view-cells.ts';
import { jsonBytes } from '#streams/entry.ts';

interface Row {
  readonly n: number;
}

const cells = (keepsLast?: number) => {
  const invalid: string[] = [];
  const made = new ViewCells<{ readonly n: number }, Row>({
    projection: { name: 'p', bucket: 'p', parse: (value) => value as { n: number } },
    onInvalid: (key) => invalid.push(key),
    rowOf: (value) => {
      const { n } = value as { readonly n?: unknown };
      if (typeof n !== 'number') throw new Error('no n');
      return { n };
    },
    ...(keepsLast !== undefined && { keepsLast }),
  });
  const put = (key: string, value: object): void =>
    made.put({ key, value: jsonBytes(value), revision: 1, writtenAt: 0 });
  return { made, put, invalid };
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
