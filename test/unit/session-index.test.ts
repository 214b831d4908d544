// Lists of sessions by attention: the index against the plain reading of ST-32 to ST-36, under any history of sessions and cursors.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SessionIndex, type SessionPlace } from '#services/gateway/session-index.ts';
import type { SessionRow } from '#services/gateway/session-row.ts';
import { SESSION_LISTS } from '#streams/http/sessions.ts';
import type { RowListener } from '#libs/projections/view-cells.ts';
import { propertyRuns } from '#test/support/seeds.ts';

/** Rows as a view would tell of them. */
const world = () => {
  const rows = new Map<string, SessionRow>();
  const seen = new Map<string, number>();
  let tell: RowListener<SessionRow> = () => undefined;
  const index = new SessionIndex({ follow: (listener) => void (tell = listener) });
  return {
    index,
    rows,
    set: (row: SessionRow): void => {
      const before = rows.get(row.id);
      rows.set(row.id, row);
      tell(before, row);
    },
    forget: (id: string): void => {
      const before = rows.get(id);
      rows.delete(id);
      tell(before, undefined);
    },
    read: (reader: string, id: string, version: number): void => {
      seen.set(`${reader}.${id}`, version);
      index.noteCursor({ reader, id }, version, rows.get(id));
    },
    isUnread: (reader: string | undefined, row: SessionRow): boolean =>
      !row.isActive && (reader === undefined || (seen.get(`${reader}.${row.id}`) ?? 0) < row.version),
  };
};
type World = ReturnType<typeof world>;

const ids = ['s1', 's2', 's3', 's4', 's5', 's6'];
const small = fc.integer({ min: 1, max: 4 });
const rowArb: fc.Arbitrary<Omit<SessionRow, 'seq'>> = fc.record({
  id: fc.constantFrom(...ids),
  key: fc.constant('acme.web.s'),
  version: fc.integer({ min: 1, max: 9 }),
  agent: fc.constantFrom('a1', 'a2'),
  provider: fc.constantFrom('exec', 'claude'),
  isActive: fc.boolean(),
  isIdle: fc.boolean(),
  lastActivityAt: small,
  updatedAt: small,
});
const stepArb = fc.oneof(
  { weight: 4, arbitrary: rowArb.map((row) => ({ kind: 'set' as const, row })) },
  { weight: 1, arbitrary: fc.constantFrom(...ids).map((id) => ({ kind: 'forget' as const, id })) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      reader: fc.constantFrom('anna', 'ben'),
      id: fc.constantFrom(...ids),
      version: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        kind: fc.constant('look' as const),
        reader: fc.constantFrom('anna', 'ben'),
        agent: fc.constant('a1'),
      },
      { requiredKeys: ['kind', 'reader'] },
    ),
  },
);
type Step = typeof stepArb extends fc.Arbitrary<infer One> ? One : never;

const play = (steps: readonly Step[]): World => {
  const made = world();
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'set') made.set({ ...step.row, seq: at + 1 });
    else if (step.kind === 'forget') made.forget(step.id);
    else if (step.kind === 'read') made.read(step.reader, step.id, step.version);
    // Lists of a reader are kept from the first look on.
    else made.index.page({ state: 'all', reader: step.reader, agent: step.agent, limit: 1 });
  }
  return made;
};

interface Asked {
  readonly state: (typeof SESSION_LISTS)[number];
  readonly reader?: string;
  readonly agent?: string;
  readonly provider?: string;
}

/** The list by the letter of ST-33 and ST-34. */
const plain = ({ rows, isUnread }: World, { state, reader, agent, provider }: Asked): readonly string[] => {
  const isListed: Record<Asked['state'], (row: SessionRow) => boolean> = {
    default: (row) => row.isActive || isUnread(reader, row),
    all: () => true,
    running: (row) => row.isActive,
    unread: (row) => isUnread(reader, row),
    terminal: (row) => !row.isActive && !row.isIdle,
    idle: (row) => !row.isActive && row.isIdle,
  };
  return [...rows.values()]
    .filter(isListed[state])
    .filter(
      (row) =>
        (agent === undefined || row.agent === agent) && (provider === undefined || row.provider === provider),
    )
    .toSorted(
      (a, b) =>
        Number(b.isActive) - Number(a.isActive) ||
        Number(isUnread(reader, b)) - Number(isUnread(reader, a)) ||
        b.lastActivityAt - a.lastActivityAt ||
        b.updatedAt - a.updatedAt ||
        (a.id < b.id ? -1 : 1),
    )
    .map(({ id }) => id);
};

describe('lists of sessions', () => {
  test('ST-30 ST-33 ST-34 ST-36 every list of every reader is in order, in pages of any size, after any history', () => {
    const askedArb = fc.record(
      {
        state: fc.constantFrom(...SESSION_LISTS),
        reader: fc.constantFrom('anna', 'ben'),
        agent: fc.constantFrom('a1', 'a2'),
        provider: fc.constantFrom('exec', 'claude'),
      },
      { requiredKeys: ['state'] },
    );
    fc.assert(
      fc.property(
        fc.array(stepArb, { maxLength: 40 }),
        askedArb,
        fc.integer({ min: 1, max: 4 }),
        (steps, asked, limit) => {
          const made = play(steps);
          const listed: string[] = [];
          let after: SessionPlace | undefined;
          for (;;) {
            const { rows, hasMore } = made.index.page({ ...asked, after, limit });
            listed.push(...rows.map(({ id }) => id));
            const last = rows.at(-1);
            if (!hasMore || last === undefined) break;
            after = { ...last, group: made.index.groupOf(last, asked.reader) };
          }
          expect(listed).toEqual(plain(made, asked));
        },
      ),
      propertyRuns(500),
    );
  });

  test('ST-36 a page of one agent does not walk over all that its reader has read', () => {
    const { index, set, read } = world();
    let looks = 0;
    for (let n = 0; n < 5000; n += 1) {
      const row = {
        id: `s${n}`,
        key: '',
        agent: `a${n % 2}`,
        provider: 'exec',
        isActive: false,
        isIdle: n % 3 === 0,
      };
      const times = { seq: n + 1, version: 1, lastActivityAt: 5000 - n, updatedAt: 1 };
      // What is looked at to tell read from unread.
      set(Object.defineProperty({ ...row, ...times }, 'version', { get: () => ((looks += 1), 1) }));
      // The only unread ones of the agent are the last two.
      if (n < 4996) read('anna', `s${n}`, 1);
    }
    const unread = { state: 'unread', reader: 'anna', agent: 'a1' } as const;
    const first = index.page({ ...unread, limit: 1 });
    expect(first).toMatchObject({ rows: [{ id: 's4997' }], hasMore: true });
    read('anna', 's4997', 1);
    looks = 0;
    expect(index.page({ ...unread, limit: 1 })).toMatchObject({ rows: [{ id: 's4999' }], hasMore: false });
    expect(looks).toBeLessThan(10);
  });

  test('WK-47 following the changes shows every session that has changed, once, in the order of its last change', () => {
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), (steps, limit) => {
        const { index, rows } = play(steps);
        const seen: SessionRow[] = [];
        let after = 0;
        for (let hasMore = true; hasMore;) {
          const page = index.changes({ after, upTo: steps.length }, limit);
          seen.push(...page.rows);
          ({ after, hasMore } = page);
        }
        expect(after).toBe(steps.length);
        expect(seen).toEqual([...rows.values()].toSorted((a, b) => a.seq - b.seq));
      }),
      propertyRuns(200),
    );
  });

  test('changes stop where the projection stands: what is beyond may still be incomplete', () => {
    const { index, set } = world();
    const row = {
      key: '',
      version: 1,
      agent: 'a1',
      provider: 'exec',
      isActive: false,
      isIdle: false,
      lastActivityAt: 1,
      updatedAt: 1,
    };
    set({ ...row, id: 's1', seq: 5 });
    set({ ...row, id: 's2', seq: 7 });
    const page = index.changes({ after: 0, upTo: 6 }, 10);
    expect(page).toMatchObject({ rows: [{ id: 's1' }], after: 6, hasMore: false });
  });

  test('WK-48 a page of changes looks at so many, and the next goes on behind them, wanted or not', () => {
    const { index, set } = world();
    const row = { key: '', version: 1, provider: 'exec', isActive: false, isIdle: false, updatedAt: 1 };
    const count = 25_000;
    for (let seq = 1; seq <= count; seq += 1)
      set({ ...row, id: `s${seq}`, agent: seq === 20_000 ? 'rare' : 'often', lastActivityAt: seq, seq });
    const pages: unknown[] = [];
    let after = 0;
    for (let hasMore = true; hasMore;) {
      const page = index.changes({ after, upTo: count }, 5, ({ agent }) => agent === 'rare');
      pages.push([page.rows.map(({ seq }) => seq), page.after, page.hasMore]);
      ({ after, hasMore } = page);
    }
    expect(pages).toEqual([
      [[], 10_000, true],
      [[20_000], 20_000, true],
      [[], 25_000, false],
    ]);
  });
});
