// The contract of watches: what is there, `current`, then every key's newest change in the order of revisions.
import type { WatchEvent } from '#libs/ports/key-value.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, line, type MakeBucket, text, withBucket, write } from './bucket-harness.ts';
import { all, type Reader, readerOf } from './reading.ts';

/** Reads up to and including `current`. */
const initial = async (reader: Reader<WatchEvent>): Promise<string[]> => {
  const lines: string[] = [];
  while (lines.at(-1) !== 'current') lines.push(line(await reader.next()));
  return lines;
};

const starting = (make: MakeBucket): void => {
  it(
    'starts with the present values in the order of their revisions, and then says that they are current',
    withBucket(make, async ({ kv }) => {
      await write(kv, 'a', '1');
      await write(kv, 'b', '1');
      await write(kv, 'c', '1');
      await write(kv, 'a', '2');
      await kv.delete('b');
      const reader = readerOf(kv.watch());
      expect(await initial(reader)).toEqual(['c=1', 'a=2', 'current']);
      await reader.close();
    }),
  );

  it(
    'says at once that an empty bucket is current',
    withBucket(make, async ({ kv }) => {
      const reader = readerOf(kv.watch());
      expect(await initial(reader)).toEqual(['current']);
      const next = reader.next();
      await write(kv, 'a', '1');
      expect(line(await next)).toBe('a=1');
      await reader.close();
    }),
  );

  it(
    'says so as well when no key passes the filters, or the last one was deleted',
    withBucket(make, async ({ kv }) => {
      await write(kv, 'a.1', '1');
      await write(kv, 'b.1', '1');
      await kv.delete('b.1');
      for (const keys of [['c.*'], ['b.*'], ['b.1', 'c.>']])
        for (const mayReadOthers of [false, true]) {
          const reader = readerOf(kv.watch({ keys, mayReadOthers }));
          expect(await initial(reader)).toEqual(['current']);
          await reader.close();
        }
    }),
  );

  it(
    'starts after a revision with the later changes only, deletions among them, and without current',
    withBucket(make, async ({ kv }) => {
      await write(kv, 'a', '1');
      const after = await write(kv, 'b', '1');
      await write(kv, 'c', '1');
      await write(kv, 'a', '2');
      await kv.delete('b');
      const reader = readerOf(kv.watch({ afterRevision: after }));
      const lines = [line(await reader.next()), line(await reader.next()), line(await reader.next())];
      expect(lines).toEqual(['c=1', 'a=2', 'b deleted']);
      const next = reader.next();
      await write(kv, 'd', '1');
      expect(line(await next)).toBe('d=1');
      await reader.close();
    }),
  );

  it(
    'that may be late starts as any other, and then brings the newest of each key, expiries among them',
    withBucket(make, async ({ kv, advance }) => {
      await write(kv, 'a', '1');
      const reader = readerOf(kv.watch({ lateMs: 500 }));
      expect(await initial(reader)).toEqual(['a=1', 'current']);
      const until = async (last: string): Promise<string[]> => {
        const lines: string[] = [];
        while (lines.at(-1) !== last) lines.push(line(await reader.next()));
        return lines;
      };
      const first = until('b=2');
      for (const [key, value] of ['b=1', 'a=2', 'b=2'].map((put) => put.split('=')))
        await write(kv, key ?? '', value ?? '');
      await advance(500);
      // The older one of a key may have been on its way already.
      expect((await first).filter((one) => one !== 'b=1')).toEqual(['a=2', 'b=2']);
      const second = until('c expired');
      await kv.put('c', bytes('1'), { ttlMs: 1000 });
      await advance(1000);
      await advance(500);
      expect((await second).filter((one) => one !== 'c=1')).toEqual(['c expired']);
      await reader.close();
    }),
  );

  it(
    'starts after the last revision with what comes next',
    withBucket(make, async ({ kv }) => {
      const afterRevision = await write(kv, 'a', '1');
      const reader = readerOf(kv.watch({ afterRevision }));
      const next = reader.next();
      await write(kv, 'b', '1');
      expect(line(await next)).toBe('b=1');
      await write(kv, 'a', '2');
      expect(line(await reader.next())).toBe('a=2');
      await reader.close();
    }),
  );

  it(
    'hands out a thousand present values before current, each once',
    withBucket(make, async ({ kv }) => {
      const keys = Array.from({ length: 1_000 }, (_, n) => `k.${n}`);
      await kv.putMany(keys.map((key) => ({ key, value: bytes('v') })));
      const reader = readerOf(kv.watch());
      const lines = await initial(reader);
      expect(lines).toHaveLength(1_001);
      expect(new Set(lines)).toEqual(new Set([...keys.map((key) => `${key}=v`), 'current']));
      await reader.close();
    }),
  );
};

const changing = (make: MakeBucket): void => {
  it(
    'tells of every change that is read before the next one, with its revision',
    withBucket(make, async ({ kv }) => {
      const reader = readerOf(kv.watch());
      await initial(reader);
      const revision = await write(kv, 'a', '1');
      expect(await reader.next()).toMatchObject({ kind: 'put', entry: { key: 'a', revision } });
      const second = await write(kv, 'a', '2');
      const changed = await reader.next();
      expect(line(changed)).toBe('a=2');
      expect(changed).toMatchObject({ entry: { revision: second } });
      const gone = await kv.delete('a');
      expect(await reader.next()).toEqual({
        kind: 'deleted',
        key: 'a',
        revision: gone.kind === 'stored' ? gone.revision : -1,
      });
      await write(kv, 'a', '3');
      expect(line(await reader.next())).toBe('a=3');
      await reader.close();
    }),
  );

  it(
    'tells only of keys that pass its filters',
    withBucket(make, async ({ kv }) => {
      const others = readerOf(kv.watch({ keys: ['a.>', 'b.1', 'b'], mayReadOthers: true }));
      const reader = readerOf(kv.watch({ keys: ['a.*', 'b.>'] }));
      await Promise.all([initial(reader), initial(others)]);
      for (const key of ['c.1', 'a.1', 'a.1.x', 'b.1.x', 'a', 'b.1', 'bb.1', 'b']) await write(kv, key, 'v');
      for (const key of ['a.1', 'b.1.x', 'b.1']) expect(line(await reader.next())).toBe(`${key}=v`);
      for (const key of ['a.1', 'a.1.x', 'b.1', 'b']) expect(line(await others.next())).toBe(`${key}=v`);
      await Promise.all([reader.close(), others.close()]);
    }),
  );

  it(
    'tells every watcher',
    withBucket(make, async ({ kv }) => {
      const readers = Array.from({ length: 5 }, () => readerOf(kv.watch()));
      await Promise.all(readers.map((reader) => initial(reader)));
      await write(kv, 'a', '1');
      for (const reader of readers) expect(line(await reader.next())).toBe('a=1');
      await Promise.all(readers.map((reader) => reader.close()));
    }),
  );

  it(
    'tells the same together as one by one, borrowed or not, in lists that are never empty',
    withBucket(make, async ({ kv }) => {
      for (const [key, value] of [
        ['a.1', '1'],
        ['b', '2'],
        ['a.2', '3'],
      ] as const)
        await write(kv, key, value);
      await kv.delete('a.2');
      for (const [borrowsValues, before, next] of [
        [false, '2', '4'],
        [true, '4', '5'],
      ] as const) {
        const abort = new AbortController();
        const lines: string[] = [];
        const sizes: number[] = [];
        for await (const events of kv.watchTogether({
          keys: ['a.*', 'b'],
          signal: abort.signal,
          borrowsValues,
        })) {
          sizes.push(events.length);
          lines.push(...events.map((event) => line(event)));
          if (lines.at(-1) === 'current') await write(kv, 'b', next);
          if (lines.at(-1) === `b=${next}`) abort.abort();
        }
        expect(lines).toEqual(['a.1=1', `b=${before}`, 'current', `b=${next}`]);
        expect(Math.min(...sizes)).toBeGreaterThan(0);
      }
    }),
  );

  it(
    'ends when the signal aborts, waiting or not, and at once when it has aborted before',
    withBucket(make, async ({ kv }) => {
      await write(kv, 'a', '1');
      const abort = new AbortController();
      const reader = readerOf(kv.watch({ signal: abort.signal }));
      await initial(reader);
      const ended = reader.ended();
      abort.abort();
      expect(await ended).toBe(true);
      expect(await all(kv.watch({ signal: AbortSignal.abort() }))).toEqual([]);
    }),
  );
};

const changeArbitrary = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  value: fc.option(fc.nat(99), { nil: null }),
  /** The reader takes this many events before the next change. */
  reads: fc.nat(2),
});

const property = (make: MakeBucket, runs: number): void => {
  it('folds to the state of the bucket, with growing revisions, however slowly it is read', async () => {
    const folds = fc.asyncProperty(fc.array(changeArbitrary, { maxLength: 20 }), async (changes) => {
      const { kv, dispose } = await make();
      const reader = readerOf(kv.watch());
      const seen = new Map<string, string>();
      let last = 0;
      let unread = 0;
      const read = async (): Promise<WatchEvent> => {
        const event = await reader.next();
        if (event.kind === 'current') return event;
        const [key, revision] =
          event.kind === 'put' ? [event.entry.key, event.entry.revision] : [event.key, event.revision];
        expect(revision).toBeGreaterThan(last);
        last = revision;
        if (event.kind === 'put') seen.set(key, line(event));
        else seen.delete(key);
        return event;
      };
      await read();
      const state = new Map<string, string>();
      for (const { key, value, reads } of changes) {
        if (value === null) await kv.delete(key);
        else await kv.put(key, bytes(`${value}`));
        if (value === null) state.delete(key);
        else state.set(key, `${key}=${value}`);
        unread += 1;
        // An implementation may skip what was overwritten unread, so only one event is sure to be there.
        if (reads > 0 && unread > 0) {
          await read();
          unread = 0;
        }
      }
      const end = await write(kv, 'end', 'end');
      let event = await read();
      while (event.kind !== 'put' || event.entry.revision !== end) event = await read();
      seen.delete('end');
      expect(seen).toEqual(state);
      for (const key of ['a', 'b', 'c']) expect(text(await kv.get(key))).toBe(state.get(key)?.slice(2));
      await reader.close();
      await dispose();
    });
    await fc.assert(folds, propertyRuns(runs));
  });
};

export const watchContract = (make: MakeBucket, runs: number): void => {
  describe('watching', () => {
    starting(make);
    changing(make);
    property(make, runs);
  });
};
