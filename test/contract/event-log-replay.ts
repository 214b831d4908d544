// The contract of reading: one subject, replay from a sequence or a time, ends, following, bounds. Filters: event-log-filters.ts.
import { describe, expect, it } from 'vitest';
import { entry, fill, idOf, ids, type MakeLog, withLog } from './log-harness.ts';
import { all, first, readerOf } from './reading.ts';

const oneSubject = (make: MakeLog): void => {
  it(
    'reads the entries of one subject, oldest first, from a sequence on',
    withLog(make, async ({ log, subject }) => {
      for (const name of ['a', 'b', 'a', 'b', 'a']) {
        const { entries } = await log.bounds();
        await log.append(entry(subject(name), `${name}${entries}`));
      }
      expect((await all(log.read(subject('a')))).map(({ seq }) => seq)).toEqual([1, 3, 5]);
      expect((await all(log.read(subject('a'), 3))).map(idOf)).toEqual(['a2', 'a4']);
      expect((await all(log.read(subject('a'), 4))).map(idOf)).toEqual(['a4']);
      expect(await all(log.read(subject('a'), 6))).toEqual([]);
      expect(await all(log.read(subject('nothing')))).toEqual([]);
    }),
  );

  it(
    'reads a subject of many entries without a gap',
    withLog(make, async ({ log, subject }) => {
      const many = Array.from({ length: 700 }, (_, n) =>
        entry(subject(n % 7 === 0 ? 'rare' : 'often'), `m${n}`),
      );
      await log.appendTogether(many);
      const rare = many.filter(({ subject: on }) => on === subject('rare'));
      expect((await all(log.read(subject('rare')))).map(idOf)).toEqual(rare.map(({ id }) => id));
    }),
  );
};

const growing = (make: MakeLog): void => {
  it(
    'reads and replays up to what was there at the start, while more is appended',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      await log.append(entry(subject('a'), 'a1'));
      await log.append(entry(subject('a'), 'a2'));
      for (const source of [log.read(subject('a')), log.replay()]) {
        const reader = readerOf(source);
        const { lastSeq } = await log.bounds();
        expect(idOf(await reader.next())).toBe('a1');
        await log.append(entry(subject('a'), `a${lastSeq + 1}`));
        for (let seq = 2; seq <= lastSeq; seq += 1) expect((await reader.next()).seq).toBe(seq);
        expect(await reader.ended()).toBe(true);
      }
    }),
  );
};

const ranges = (make: MakeLog): void => {
  it(
    'replays everything that is there, in stream order, and ends',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      await fill(harness, 150);
      const replayed = await all(log.replay());
      expect(replayed.map(({ seq }) => seq)).toEqual(Array.from({ length: 300 }, (_, n) => n + 1));
      expect(replayed[299]?.subject).toBe(subject('b.150'));
    }),
  );

  it(
    'replays everything to a reader that wants little ahead, also what is larger than that',
    withLog(make, async ({ log, subject }) => {
      const sizes = [300, 300, 400, 5000, 10, 900, 900, 3000, 3000, 20];
      for (const [n, size] of sizes.entries())
        await log.append(entry(subject(`a.${n % 3}`), `m${n}`, { body: new Uint8Array(size) }));
      for (const subjects of [undefined, [subject('a.0'), subject('a.1')]]) {
        const asked = subjects === undefined ? {} : { subjects };
        expect(await ids(log.replay({ ...asked, aheadBytes: 1000 }))).toEqual(await ids(log.replay(asked)));
      }
      const following = readerOf(log.replay({ follow: true, aheadBytes: 1000, from: { seq: 3 } }));
      for (let n = 2; n < sizes.length; n += 1) expect(idOf(await following.next())).toBe(`m${n}`);
      await log.append(entry(subject('a.9'), 'last', { body: new Uint8Array(2000) }));
      expect(idOf(await following.next())).toBe('last');
      await following.close();
    }),
  );

  it(
    'replays from a sequence to a sequence, both included',
    withLog(make, async (harness) => {
      const { log } = harness;
      await fill(harness, 3);
      expect(await ids(log.replay({ from: { seq: 3 } }))).toEqual(['a2', 'b2', 'a3', 'b3']);
      expect(await ids(log.replay({ from: { seq: 2 }, toSeq: 4 }))).toEqual(['b1', 'a2', 'b2']);
      expect(await ids(log.replay({ toSeq: 1 }))).toEqual(['a1']);
      expect(await ids(log.replay({ from: { seq: 4 }, toSeq: 3 }))).toEqual([]);
      expect(await ids(log.replay({ from: { seq: 7 } }))).toEqual([]);
      expect(await ids(log.replay({ from: { seq: 6 }, toSeq: 1_000 }))).toEqual(['b3']);
    }),
  );

  it(
    'replays from a time',
    withLog(make, async ({ log, subject, moment }) => {
      await log.append(entry(subject('a'), 'a1'));
      await moment();
      await log.append(entry(subject('a'), 'a2'));
      await moment();
      await log.append(entry(subject('b'), 'b1'));
      const [, second] = await all(log.replay());
      const atMs = second?.storedAt ?? 0;
      expect(await ids(log.replay({ from: { atMs } }))).toEqual(['a2', 'b1']);
      expect(await ids(log.replay({ from: { atMs: 0 } }))).toEqual(['a1', 'a2', 'b1']);
      expect(await ids(log.replay({ from: { atMs: atMs + 3_600_000 } }))).toEqual([]);
      expect(await ids(log.replay({ from: { atMs }, subjects: [subject('b')] }))).toEqual(['b1']);
    }),
  );

  it(
    'replays nothing of a stream in which nothing was ever stored',
    withLog(make, async ({ log, subject }) => {
      expect(await all(log.replay())).toEqual([]);
      expect(await all(log.replay({ from: { atMs: 0 }, subjects: [subject('>')] }))).toEqual([]);
      expect(await all(log.read(subject('a')))).toEqual([]);
      expect(await log.bounds()).toEqual({ firstSeq: 1, lastSeq: 0, entries: 0, bytes: 0 });
    }),
  );

  it(
    'states its bounds',
    withLog(make, async (harness) => {
      await fill(harness, 5);
      const bounds = await harness.log.bounds();
      expect(bounds).toMatchObject({ firstSeq: 1, lastSeq: 10, entries: 10 });
      expect(bounds.bytes).toBeGreaterThan(20);
    }),
  );
};

const following = (make: MakeLog): void => {
  it(
    'follows with what is appended later, without gap or repeat, until the signal aborts',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      await fill(harness, 2);
      const abort = new AbortController();
      const reader = readerOf(log.replay({ from: { seq: 3 }, follow: true, signal: abort.signal }));
      expect(idOf(await reader.next())).toBe('a2');
      expect(idOf(await reader.next())).toBe('b2');
      const later = reader.next();
      await log.append(entry(subject('c'), 'c1'));
      expect(idOf(await later)).toBe('c1');
      await log.appendTogether([entry(subject('c'), 'c2'), entry(subject('d'), 'd1')]);
      expect((await reader.next()).seq).toBe(6);
      expect((await reader.next()).seq).toBe(7);
      const ended = reader.ended();
      abort.abort();
      expect(await ended).toBe(true);
    }),
  );

  it(
    'hands out the same entries together, and says when all that was there has been taken',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      await fill(harness, 50);
      const range = { subjects: [subject('a.*')], from: { seq: 3 }, toSeq: 60 };
      const lists = await all(log.replayTogether(range));
      expect(lists.every((list) => list.length > 0)).toBe(true);
      expect(lists.flat().map(idOf)).toEqual(await ids(log.replay(range)));
      const abort = new AbortController();
      const taken: (string | undefined)[] = [];
      let caughtUp: readonly [seq: number, taken: number] | undefined;
      const following = log.replayTogether({
        from: { seq: 91 },
        follow: true,
        isShared: true,
        signal: abort.signal,
        onCaughtUp: (seq) => (caughtUp ??= [seq, taken.length]),
      });
      for await (const list of following) {
        expect(list.length).toBeGreaterThan(0);
        taken.push(...list.map(idOf));
        if (taken.length === 10) await log.append(entry(subject('c'), 'c1'));
        if (taken.length === 11) abort.abort();
      }
      expect(taken.slice(-3)).toEqual(['a50', 'b50', 'c1']);
      expect(taken).toHaveLength(11);
      expect(caughtUp).toEqual([100, 10]);
    }),
  );

  it(
    'follows up to a sequence that is still to come, and ends there',
    withLog(make, async ({ log, subject }) => {
      await log.append(entry(subject('a'), 'a1'));
      const followed = all(log.replay({ follow: true, toSeq: 3 }));
      for (const id of ['a2', 'a3', 'a4']) await log.append(entry(subject('a'), id));
      expect((await followed).map(idOf)).toEqual(['a1', 'a2', 'a3']);
    }),
  );

  it(
    'says when all that was there at the beginning has been handed out, and not before',
    withLog(make, async (harness) => {
      const { log, subject } = harness;
      await fill(harness, 2);
      const abort = new AbortController();
      const { signal } = abort;
      const ends: Promise<boolean>[] = [];
      for (const isShared of [false, true, true]) {
        const told = Promise.withResolvers<number>();
        let seen = 0;
        const onCaughtUp = (seq: number): void => told.resolve(seq * 100 + seen);
        const subjects = [subject('a.*')];
        const reader = readerOf(log.replay({ subjects, follow: true, isShared, onCaughtUp, signal }));
        expect(idOf(await reader.next())).toBe('a1');
        seen = 1;
        expect(idOf(await reader.next())).toBe('a2');
        seen = 2;
        ends.push(reader.ended());
        expect(await told.promise).toBe(402);
      }
      abort.abort();
      expect(await Promise.all(ends)).toEqual([true, true, true]);
    }),
  );

  it(
    'can be left at any time, and is over at once when the signal has aborted before',
    withLog(make, async (harness) => {
      const { log } = harness;
      await fill(harness, 300);
      expect(await first(log.replay({ follow: true }), 3)).toHaveLength(3);
      expect(await first(log.replay(), 5)).toHaveLength(5);
      expect(await all(log.replay({ follow: true, signal: AbortSignal.abort() }))).toEqual([]);
    }),
  );
};

const followingTogether = (make: MakeLog): void => {
  it(
    'gives each of several that share their following what its filters select, without gap or repeat, however slow one is',
    withLog(make, async ({ log, subject }) => {
      const abort = new AbortController();
      const { signal } = abort;
      const filters = [[subject('a.*')], [subject('b.*'), subject('a.*')], [subject('c.*')], [subject('>')]];
      const follow = (subjects: readonly string[]) =>
        readerOf(log.replay({ from: { seq: 1 }, subjects, follow: true, isShared: true, signal }));
      const wanted: string[][] = filters.map(() => []);
      const letters = [['a'], ['a', 'b'], ['c'], ['a', 'b', 'c']];
      let appended = 0;
      const append = async (count: number): Promise<void> => {
        const batch = Array.from({ length: count }, (_, n) => {
          const letter = 'abc'[(appended + n) % 3] ?? 'a';
          const id = `${letter}${appended + n}`;
          for (const [at, of] of letters.entries()) if (of.includes(letter)) wanted[at]?.push(id);
          return entry(subject(`${letter}.${appended + n}`), id);
        });
        appended += count;
        await log.appendTogether(batch);
      };
      const readers: ReturnType<typeof follow>[] = [];
      const seen: (string | undefined)[][] = filters.map(() => []);
      const catchUp = async (at: number): Promise<void> => {
        const missing = (wanted[at]?.length ?? 0) - (seen[at]?.length ?? 0);
        for (let n = 0; n < missing; n += 1) seen[at]?.push(idOf(await readers[at]?.next()));
      };
      // One after another, each while something comes; the first one reads nothing more until the end.
      for (const subjects of filters) {
        await append(5);
        readers.push(follow(subjects));
        for (let at = 1; at < readers.length; at += 1) await catchUp(at);
        if (readers.length === 1) await catchUp(0);
      }
      for (let round = 0; round < 8; round += 1) {
        await append(450);
        for (let at = 1; at < readers.length; at += 1) await catchUp(at);
      }
      await catchUp(0);
      await append(9);
      for (let at = 0; at < readers.length; at += 1) await catchUp(at);
      expect(seen).toEqual(wanted);
      const ends = readers.map((reader) => reader.ended());
      abort.abort();
      expect(await Promise.all(ends)).toEqual([true, true, true, true]);
    }),
  );
};

export const replayContract = (make: MakeLog): void => {
  describe('reading', () => {
    oneSubject(make);
    growing(make);
    ranges(make);
    following(make);
    followingTogether(make);
  });
};
