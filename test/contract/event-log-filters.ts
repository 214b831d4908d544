// The contract of filters: what a reading selects, to whatever sequence, and while it follows.
import { describe, expect, it } from 'vitest';
import { entry, fill, idOf, ids, type MakeLog, withLog } from './log-harness.ts';
import { readerOf } from './reading.ts';

export const filtersContract = (make: MakeLog): void => {
  describe('filters', () => {
    it(
      'replays what one of several filters selects, each entry once and in stream order',
      withLog(make, async (harness) => {
        const { log, subject } = harness;
        await fill(harness, 3);
        const replay = (...subjects: string[]) => ids(log.replay({ subjects }));
        expect(await replay(subject('a.*'))).toEqual(['a1', 'a2', 'a3']);
        expect(await replay(subject('b.>'))).toEqual(['b1', 'b2', 'b3']);
        expect(await replay(subject('a.2'), subject('b.*'))).toEqual(['b1', 'a2', 'b2', 'b3']);
        expect(await replay(subject('*.2'), subject('a.*'))).toEqual(['a1', 'a2', 'b2', 'a3']);
        expect(await replay(subject('c.*'))).toEqual([]);
        expect(await ids(log.replay({ subjects: [subject('a.*')], from: { seq: 2 }, toSeq: 4 }))).toEqual([
          'a2',
        ]);
      }),
    );

    it(
      'replays what several filters select among much that they do not, to any sequence, and follows it',
      withLog(make, async (harness) => {
        const { log, subject } = harness;
        const others = async (from: number): Promise<void> => {
          const batch = Array.from({ length: 700 }, (_, n) =>
            entry(subject(`c.${from + n}`), `c${from + n}`),
          );
          await log.appendTogether(batch);
        };
        await fill(harness, 1);
        await others(0);
        await others(700);
        await log.append(entry(subject('a.2'), 'a2'));
        await others(1400);
        const subjects = [subject('a.*'), subject('b.*')];
        expect(await ids(log.replay({ subjects }))).toEqual(['a1', 'b1', 'a2']);
        expect(await ids(log.replay({ subjects, from: { seq: 2 }, toSeq: 1403 }))).toEqual(['b1', 'a2']);
        expect(await ids(log.replay({ subjects, from: { seq: 3 }, toSeq: 1402 }))).toEqual([]);
        expect(await ids(log.replay({ subjects, from: { seq: 700 }, toSeq: 700 }))).toEqual([]);
        const within = { subjects, from: { seq: 2 }, follow: true } as const;
        expect(await ids(log.replay({ ...within, toSeq: 1500 }))).toEqual(['b1', 'a2']);
        const abort = new AbortController();
        const reader = readerOf(log.replay({ ...within, signal: abort.signal }));
        expect([idOf(await reader.next()), idOf(await reader.next())]).toEqual(['b1', 'a2']);
        const next = reader.next();
        await log.append(entry(subject('c.0'), 'c'));
        await log.append(entry(subject('b.2'), 'b2'));
        expect(idOf(await next)).toBe('b2');
        abort.abort();
        expect(await reader.ended()).toBe(true);
      }),
    );

    it(
      'follows only what its filters select',
      withLog(make, async ({ log, subject }) => {
        const abort = new AbortController();
        const { signal } = abort;
        const reader = readerOf(log.replay({ subjects: [subject('a.*')], follow: true, signal }));
        const next = reader.next();
        await log.append(entry(subject('b.1'), 'b1'));
        await log.append(entry(subject('a.1'), 'a1'));
        expect(idOf(await next)).toBe('a1');
        abort.abort();
        expect(await reader.ended()).toBe(true);
      }),
    );
  });
};
