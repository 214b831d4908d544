// The contract of reading and writing keys: revisions, expectations, many at once, deletion, expiry, refusals.
import { describe, expect, it } from 'vitest';
import { bytes, line, type MakeBucket, text, withBucket, write } from './bucket-harness.ts';
import { all, expectFault, readerOf } from './reading.ts';

const revisions = (make: MakeBucket): void => {
  it(
    'reads what was written, with a revision that grows over all keys',
    withBucket(make, async ({ kv }) => {
      const first = await write(kv, 'a.1', 'one');
      const second = await write(kv, 'b', 'two');
      const third = await write(kv, 'a.1', 'three');
      expect(first).toBeGreaterThan(0);
      expect(second).toBeGreaterThan(first);
      expect(third).toBeGreaterThan(second);
      expect(await kv.get('a.1')).toMatchObject({ key: 'a.1', revision: third });
      expect(text(await kv.get('a.1'))).toBe('three');
      expect((await kv.get('a.1'))?.writtenAt).toBeGreaterThan(1_500_000_000_000);
      expect(await kv.get('nothing')).toBeUndefined();
    }),
  );

  it(
    'gives every byte of a value back, and no byte of an empty one',
    withBucket(make, async ({ kv }) => {
      const value = Uint8Array.from({ length: 256 }, (_, n) => n);
      await kv.put('binary', value);
      await kv.put('empty', new Uint8Array());
      expect(Uint8Array.from((await kv.get('binary'))?.value ?? [])).toEqual(value);
      expect((await kv.get('empty'))?.value).toHaveLength(0);
    }),
  );

  it(
    'writes only at the expected revision, and answers a conflict with the actual one',
    withBucket(make, async ({ kv }) => {
      const created = await kv.put('a', bytes('1'), { expectedRevision: 0 });
      expect(created).toMatchObject({ kind: 'stored' });
      const revision = (await kv.get('a'))?.revision ?? 0;
      expect(created).toEqual({ kind: 'stored', revision });
      for (const expectedRevision of [0, revision + 7])
        expect(await kv.put('a', bytes('x'), { expectedRevision })).toEqual({
          kind: 'conflict',
          actualRevision: revision,
        });
      expect(text(await kv.get('a'))).toBe('1');
      expect(await kv.put('a', bytes('2'), { expectedRevision: revision })).toMatchObject({ kind: 'stored' });
      expect(await kv.put('b', bytes('x'), { expectedRevision: 5 })).toEqual({
        kind: 'conflict',
        actualRevision: 0,
      });
      expect(await kv.get('b')).toBeUndefined();
    }),
  );

  it(
    'lets one of many creators win',
    withBucket(make, async ({ kv }) => {
      const outcomes = await Promise.all(
        Array.from({ length: 16 }, (_, n) => kv.put('a', bytes(`${n}`), { expectedRevision: 0 })),
      );
      const winner = outcomes.findIndex(({ kind }) => kind === 'stored');
      expect(outcomes.filter(({ kind }) => kind === 'stored')).toHaveLength(1);
      expect(text(await kv.get('a'))).toBe(`${winner}`);
    }),
  );
};

const many = (make: MakeBucket): void => {
  it(
    'puts many keys, each with its own outcome, in order',
    withBucket(make, async ({ kv }) => {
      const old = await write(kv, 'old', '1');
      const outcomes = await kv.putMany([
        { key: 'new', value: bytes('n'), options: { expectedRevision: 0 } },
        { key: 'old', value: bytes('x'), options: { expectedRevision: 0 } },
        { key: 'plain', value: bytes('p') },
        { key: 'gone', value: bytes('g'), options: { expectedRevision: old } },
      ]);
      expect(outcomes.map(({ kind }) => kind)).toEqual(['stored', 'conflict', 'stored', 'conflict']);
      expect(outcomes[1]).toEqual({ kind: 'conflict', actualRevision: old });
      const [first, , third] = outcomes;
      expect(first).toEqual({ kind: 'stored', revision: (await kv.get('new'))?.revision });
      expect(third).toEqual({ kind: 'stored', revision: (await kv.get('plain'))?.revision });
      expect(text(await kv.get('old'))).toBe('1');
      expect(await kv.get('gone')).toBeUndefined();
      expect(await kv.putMany([])).toEqual([]);
    }),
  );

  it(
    'puts and reads a thousand keys, and leaves absent ones out',
    withBucket(make, async ({ kv }) => {
      const keys = Array.from({ length: 1_000 }, (_, n) => `many.${n}`);
      const outcomes = await kv.putMany(
        keys.map((key) => ({ key, value: bytes(key), options: { expectedRevision: 0 } })),
      );
      expect(outcomes.every(({ kind }) => kind === 'stored')).toBe(true);
      const found = await kv.getMany([...keys, 'absent']);
      expect(found.size).toBe(1_000);
      expect(text(found.get('many.999'))).toBe('many.999');
      expect(found.has('absent')).toBe(false);
      expect((await kv.getMany([])).size).toBe(0);
    }),
  );

  it(
    'lists the keys that have a value now',
    withBucket(make, async ({ kv }) => {
      expect(await all(kv.keys())).toEqual([]);
      for (const key of ['a.1', 'a.2', 'b.1', 'b.1.x']) await write(kv, key, 'v');
      await kv.delete('a.2');
      expect((await all(kv.keys())).sort()).toEqual(['a.1', 'b.1', 'b.1.x']);
      expect((await all(kv.keys('b.*'))).sort()).toEqual(['b.1']);
      expect((await all(kv.keys('b.>'))).sort()).toEqual(['b.1', 'b.1.x']);
    }),
  );
};

const deletion = (make: MakeBucket): void => {
  it(
    'deletes a key, which then counts as absent',
    withBucket(make, async ({ kv }) => {
      await write(kv, 'a', '1');
      expect(await kv.delete('a')).toMatchObject({ kind: 'stored' });
      expect(await kv.get('a')).toBeUndefined();
      expect((await kv.getMany(['a'])).size).toBe(0);
      expect(await kv.put('a', bytes('2'), { expectedRevision: 0 })).toMatchObject({ kind: 'stored' });
      expect(text(await kv.get('a'))).toBe('2');
    }),
  );

  it(
    'deletes only at the expected revision',
    withBucket(make, async ({ kv }) => {
      const old = await write(kv, 'a', '1');
      const now = await write(kv, 'a', '2');
      expect(await kv.delete('a', { expectedRevision: old })).toEqual({
        kind: 'conflict',
        actualRevision: now,
      });
      expect(text(await kv.get('a'))).toBe('2');
      expect(await kv.delete('a', { expectedRevision: now })).toMatchObject({ kind: 'stored' });
      expect(await kv.get('a')).toBeUndefined();
    }),
  );

  it(
    'never brings a deleted value back by a write at its old revision',
    withBucket(make, async ({ kv }) => {
      const old = await write(kv, 'a', '1');
      await kv.delete('a');
      expect(await kv.put('a', bytes('x'), { expectedRevision: old })).toMatchObject({ kind: 'conflict' });
      expect(await kv.get('a')).toBeUndefined();
    }),
  );
};

const expiry = (make: MakeBucket): void => {
  it(
    'NF-05 lets a key expire, which then counts as absent',
    withBucket(make, async ({ kv, advance }) => {
      const reader = readerOf(kv.watch());
      expect(line(await reader.next())).toBe('current');
      const put = await kv.put('lease', bytes('me'), { expectedRevision: 0, ttlMs: 1_000 });
      const revision = put.kind === 'stored' ? put.revision : 0;
      expect(line(await reader.next())).toBe('lease=me');
      expect(text(await kv.get('lease'))).toBe('me');
      const next = reader.next();
      await advance(1_500);
      expect(await next).toMatchObject({ kind: 'expired', key: 'lease' });
      expect(await kv.get('lease')).toBeUndefined();
      expect(await all(kv.keys())).toEqual([]);
      expect(await kv.put('lease', bytes('late'), { expectedRevision: revision })).toMatchObject({
        kind: 'conflict',
      });
      expect(await kv.put('lease', bytes('you'), { expectedRevision: 0 })).toMatchObject({ kind: 'stored' });
      await reader.close();
    }),
  );

  it(
    'NF-05 moves the expiry with each put that has one, and removes it with one that has none',
    withBucket(make, async ({ kv, advance }) => {
      const reader = readerOf(kv.watch({ keys: ['short', 'long', 'kept'] }));
      expect(line(await reader.next())).toBe('current');
      for (const key of ['short', 'long', 'kept']) {
        await kv.put(key, bytes('1'), { ttlMs: 1_000 });
        expect(line(await reader.next())).toBe(`${key}=1`);
      }
      await kv.put('long', bytes('2'), { ttlMs: 2_000 });
      expect(line(await reader.next())).toBe('long=2');
      await write(kv, 'kept', '2');
      expect(line(await reader.next())).toBe('kept=2');
      const next = reader.next();
      await advance(1_500);
      expect(line(await next)).toBe('short expired');
      const afterNext = reader.next();
      await advance(1_000);
      expect(line(await afterNext)).toBe('long expired');
      expect(text(await kv.get('kept'))).toBe('2');
      await reader.close();
    }),
  );
};

const refusals = (make: MakeBucket): void => {
  it(
    'refuses what is no key and no lifetime, for ever, and stores nothing',
    withBucket(make, async ({ kv }) => {
      for (const key of ['', 'a b', 'a:b', 'a.*', '>', '.a', 'a.', 'ä'])
        await expectFault(() => kv.put(key, bytes('x')), 'KV_REFUSED', 'never');
      for (const ttlMs of [0, 500, 1_500, -1_000])
        await expectFault(() => kv.put('a', bytes('x'), { ttlMs }), 'KV_REFUSED', 'never');
      await expectFault(() => kv.put('a', new Uint8Array(2 * 1_048_576)), 'KV_REFUSED', 'never');
      expect(await all(kv.keys())).toEqual([]);
    }),
  );
};

export const readWriteContract = (make: MakeBucket): void => {
  describe('reading and writing', () => {
    revisions(make);
    many(make);
    deletion(make);
    expiry(make);
    refusals(make);
  });
};
