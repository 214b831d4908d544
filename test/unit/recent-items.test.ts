// The last items of a stream: pages of them are what a list of all has, or a word that some are gone.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FeedItem } from '#services/gateway/feed-item.ts';
import { RecentItems } from '#services/gateway/recent-items.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const item = (seq: number, bytes: number): FeedItem => ({ seq, bytes }) as FeedItem;
const isWanted = ({ seq }: FeedItem): boolean => seq % 3 !== 0;

test('a page has everything that is wanted up to its size, or is none', () => {
  const gaps = fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 50 })), {
    maxLength: 120,
  });
  fc.assert(
    fc.property(
      gaps,
      fc.nat(200),
      fc.nat(200),
      fc.integer({ min: 1, max: 300 }),
      (steps, from, more, most) => {
        const recent = new RecentItems(1000);
        recent.restart(10);
        const all: FeedItem[] = [];
        let seq = 10;
        for (const [gap, bytes] of steps) {
          seq += gap;
          all.push(item(seq, bytes));
          recent.add(item(seq, bytes));
        }
        const query = { fromSeq: from, toSeq: from + more, mostBytes: most, isWanted };
        const page = recent.page(query);
        const asked = all.filter((one) => one.seq >= from && one.seq <= from + more && isWanted(one));
        const total = all.reduce((sum, { bytes }) => sum + bytes, 0);
        if (from <= 10) expect(page).toBeUndefined();
        else if (total <= 1000) expect(page).toBeDefined();
        if (page === undefined) return;
        expect(page.items).toEqual(asked.slice(0, page.items.length));
        const taken = page.items.reduce((sum, { bytes }) => sum + bytes, 0);
        if (page.nextSeq === undefined) expect(page.items).toHaveLength(asked.length);
        else expect([taken >= most, page.nextSeq]).toEqual([true, (page.items.at(-1)?.seq ?? 0) + 1]);
        expect(taken - (page.items.at(-1)?.bytes ?? 0)).toBeLessThan(most);
      },
    ),
    propertyRuns(300),
  );
});

test('what is let go of makes room, however long it goes on', () => {
  const recent = new RecentItems(1000);
  for (let seq = 1; seq <= 10_000; seq += 1) recent.add(item(seq, 10));
  const all = { toSeq: 10_000, mostBytes: 100_000, isWanted: () => true };
  expect(recent.page({ ...all, fromSeq: 9900 })).toBeUndefined();
  const page = recent.page({ ...all, fromSeq: 9901 });
  expect([page?.items.length, page?.items[0]?.seq]).toEqual([100, 9901]);
});
