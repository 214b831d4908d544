// Lists, places, changes and counts of tasks: the index against the plain reading of ST-51 and ST-55 to ST-57, after any history.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isActiveTask, TaskIndex, type TaskRow } from '#services/gateway/task-index.ts';
import type { RowListener } from '#libs/projections/view-cells.ts';
import { compareRank } from '#streams/task-order.ts';
import { TASK_STATES } from '#streams/task.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const rowArb = fc.record({
  id: fc.constantFrom('t1', 't2', 't3', 't4', 't5', 't6', 't7'),
  lane: fc.constantFrom('fast', 'slow'),
  state: fc.constantFrom(...TASK_STATES),
});
const readArb = fc.record({ reader: fc.constantFrom('anna', 'ben'), id: rowArb.map(({ id }) => id) });
const stepArb = fc.oneof(
  { weight: 3, arbitrary: rowArb.map((row) => ({ kind: 'set' as const, ...row })) },
  { weight: 1, arbitrary: readArb.map((read) => ({ kind: 'read' as const, ...read })) },
);
type Step = typeof stepArb extends fc.Arbitrary<infer One> ? One : never;

/** What never changes of a task. */
const FIXED: Readonly<Record<string, Pick<TaskRow, 'queue' | 'priority' | 'createdAt' | 'queuedSeq'>>> = {
  t1: { queue: 'fix', priority: 0, createdAt: 1, queuedSeq: 1 },
  t2: { queue: 'fix', priority: 5, createdAt: 2, queuedSeq: 2 },
  t3: { queue: 'docs', priority: 5, createdAt: 2, queuedSeq: 3 },
  t4: { queue: 'fix', priority: 0, createdAt: 1, queuedSeq: 4 },
  t5: { queue: 'docs', priority: -3, createdAt: 9, queuedSeq: 5 },
  t6: { queue: 'fix', priority: 5, createdAt: 7, queuedSeq: 6 },
  t7: { queue: 'fix', priority: 1, createdAt: 3, queuedSeq: 7 },
};

const play = (steps: readonly Step[]) => {
  const rows = new Map<string, TaskRow>();
  const seen = new Map<string, number>();
  let tell: RowListener<TaskRow> = () => undefined;
  const index = new TaskIndex({ follow: (listener) => void (tell = listener) });
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'set') {
      const fixed = FIXED[step.id];
      if (fixed === undefined) continue;
      const { id, lane, state } = step;
      const row = { id, key: '', lane, state, ...fixed, seq: at + 1, version: at + 1 };
      tell(rows.get(id), row);
      rows.set(id, row);
    } else {
      const row = rows.get(step.id);
      if (row === undefined) continue;
      seen.set(`${step.reader}.${step.id}`, row.version);
      index.noteCursor(step, row.version, row);
    }
    // The lists of this reader are made early, and follow.
    index.attention({ queue: 'fix' }, 'anna', 1);
    index.attention({}, 'anna', 1);
  }
  const isUnread = (reader: string, row: TaskRow): boolean =>
    !isActiveTask(row) && (seen.get(`${reader}.${row.id}`) ?? 0) < row.version;
  const inOrder = [...rows.values()].toSorted(
    (a, b) => b.priority - a.priority || a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1),
  );
  return { index, rows, inOrder, isUnread };
};

const filterArb = fc.record(
  {
    queue: fc.constantFrom('fix', 'docs', 'none'),
    lane: fc.constantFrom('fast', 'slow'),
    state: fc.uniqueArray(fc.constantFrom(...TASK_STATES), { minLength: 1 }),
  },
  { requiredKeys: [] },
);

describe('the index of tasks', () => {
  test('ST-51 pages of any size and filter are in the order in which tasks go', () => {
    fc.assert(
      fc.property(
        fc.array(stepArb, { maxLength: 30 }),
        filterArb,
        fc.integer({ min: 1, max: 4 }),
        (steps, filter, limit) => {
          const { index, inOrder } = play(steps);
          const listed: TaskRow[] = [];
          for (;;) {
            const page = index.page(filter, { after: listed.at(-1), limit });
            listed.push(...page.rows);
            if (!page.hasMore) break;
          }
          expect(listed).toEqual(
            inOrder.filter(
              (row) =>
                (filter.queue === undefined || row.queue === filter.queue) &&
                (filter.lane === undefined || row.lane === filter.lane) &&
                (filter.state === undefined || filter.state.includes(row.state)),
            ),
          );
        },
      ),
      propertyRuns(300),
    );
  });

  test('HR-14 ST-56 places and counts are those of all tasks of the queue', () => {
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 30 }), (steps) => {
        const { index, rows } = play(steps);
        const ofQueue = [...rows.values()].filter(({ queue }) => queue === 'fix');
        const waiting = ofQueue.filter(({ state }) => state === 'pending').toSorted(compareRank);
        for (const row of ofQueue) {
          const place = waiting.indexOf(row);
          expect(index.positionOf(row)).toBe(place < 0 ? null : place + 1);
        }
        const [counts] = index.counts('fix');
        const expected = {
          queue: 'fix',
          total: ofQueue.length,
          states: countBy(ofQueue, ({ state }) => state),
          lanes: countBy(ofQueue, ({ lane }) => lane),
          maxSeq: Math.max(...ofQueue.map(({ seq }) => seq)),
          next: waiting.map(({ id }) => id),
        };
        expect(counts).toEqual(ofQueue.length === 0 ? undefined : expected);
      }),
      propertyRuns(200),
    );
  });

  test('ST-55 ST-57 a commander sees what is under way or unread, and without a reader everything', () => {
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 30 }), (steps) => {
        const { index, inOrder, isUnread } = play(steps);
        const ofQueue = inOrder.filter(({ queue }) => queue === 'fix');
        expect(index.attention({ queue: 'fix' }, undefined, 20).rows).toEqual(ofQueue);
        for (const reader of ['anna', 'carl'])
          expect(index.attention({ queue: 'fix' }, reader, 20).rows).toEqual(
            ofQueue.filter((row) => isActiveTask(row) || isUnread(reader, row)),
          );
      }),
      propertyRuns(200),
    );
  });
});

const countBy = (rows: readonly TaskRow[], nameOf: (row: TaskRow) => string): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const row of rows) counts[nameOf(row)] = (counts[nameOf(row)] ?? 0) + 1;
  return counts;
};
