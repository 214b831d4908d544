// Lists of a reader that are made in pieces, while things come, go and are read between the pieces.
import { expect, test } from 'vitest';
import { createOrderedIndex } from '#libs/projections/ordered-index.ts';
import { Readers, SeenVersions } from '#services/gateway/readers.ts';

interface Thing {
  readonly id: string;
  readonly at: number;
  readonly version: number;
}

const compare = (a: Thing, b: Thing): number => a.at - b.at || (a.id < b.id ? -1 : Number(a.id > b.id));
const nextTurn = (): Promise<boolean> => new Promise((resolve) => setImmediate(() => resolve(false)));

const world = () => {
  const things = new Map<string, Thing>();
  const all = createOrderedIndex<Thing, Thing>(compare);
  const seen = new SeenVersions<Thing, Thing>();
  const readers = new Readers<Thing, Thing>(compare, seen, { all: (after) => all.walk(after) });
  const drop = (id: string): void => {
    const thing = things.get(id);
    if (thing === undefined) return;
    things.delete(id);
    all.remove(thing);
    readers.remove(thing);
  };
  return {
    readers,
    seen,
    things,
    drop,
    set: (thing: Thing): void => {
      drop(thing.id);
      things.set(thing.id, thing);
      all.add(thing);
      readers.add(thing);
    },
    read: (id: string, version: number): void =>
      seen.move({ reader: 'anna', id, version }, things.get(id), [readers]),
  };
};

const idsOf = (readers: Readers<Thing, Thing>, side: 'unread' | 'read'): readonly string[] => {
  const ids: string[] = [];
  for (const walk = readers.of('anna')[side].walk(); walk.row !== undefined; walk.advance())
    ids.push(walk.row.id);
  return ids;
};

/** Enough for several pieces. */
const THINGS = 9000;

test('ST-30 lists of a reader that are made while things change show every thing once, as it is then', async () => {
  const { readers, seen, things, set, drop, read } = world();
  for (let n = 0; n < THINGS; n += 1) set({ id: `t${n}`, at: (n * 7919) % THINGS, version: 2 });
  for (let n = 0; n < THINGS; n += 3) read(`t${n}`, 2);

  const made = Promise.all([readers.prepare('anna'), readers.prepare('anna')]).then(() => true);
  let turns = 0;
  do {
    turns += 1;
    // Of what was looked at already and of what was not: new, moved to another place, changed at its place, gone, read and unread again.
    for (let n = turns; n < THINGS; n += 701) {
      set({ id: `new-${turns}-${n}`, at: n, version: 1 });
      set({ id: `t${n}`, at: THINGS - n, version: 3 });
      set({ id: `t${n + 1}`, at: ((n + 1) * 7919) % THINGS, version: 3 });
      drop(`t${n + 2}`);
      read(`t${n + 3}`, 3);
      read(`t${n + 4}`, 0);
    }
  } while (!(await Promise.race([made, nextTurn()])));

  expect(turns).toBeGreaterThan(2);
  const inOrder = [...things.values()].toSorted(compare);
  const isUnread = ({ id, version }: Thing): boolean => seen.of('anna', id) < version;
  expect(idsOf(readers, 'unread')).toEqual(inOrder.filter(isUnread).map(({ id }) => id));
  expect(idsOf(readers, 'read')).toEqual(inOrder.filter((thing) => !isUnread(thing)).map(({ id }) => id));
});
