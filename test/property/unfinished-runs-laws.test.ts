// The index of unfinished runs is what the summaries of all runs say, wherever it was begun: at any position of the bucket, with single summaries
// ahead of it, with transitions that come twice, and after a restart.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { encodePosition, POSITION_KEY } from '#libs/projections/position.ts';
import { isEnded, isHeld } from '#services/runs/run-state.policy.ts';
import { foldRun, type RunSummary } from '#services/runs/run.view.ts';
import { createUnfinishedRuns } from '#services/runs/unfinished-runs.ts';
import { UnfinishedIndex } from '#services/runs/unfinished-runs.view.ts';
import { bucketDefinitions, viewKey } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import { encodeRunEvent } from '#streams/run-codec.ts';
import type { RunEvent } from '#streams/run.ts';
import { streamDefinitions } from '#streams/streams.ts';
import { answered, approvalA, approvalB, asked } from '#test/support/approval-history.ts';
import { acknowledged, followUp, told, turnFinished } from '#test/support/command-history.ts';
import {
  cancelledQueued,
  cancelRequested,
  claimed,
  completed,
  created,
  expired,
  NOW,
  started,
} from '#test/support/run-history.ts';
import { propertyRuns } from '#test/support/seeds.ts';

/** Two with one id: a tenant does not see what another has. */
const PLACES = [
  { tenant: 'local', project: 'main', runId: 'run_01HF3Z0000000000000000000A' },
  { tenant: 'other', project: 'main', runId: 'run_01HF3Z0000000000000000000A' },
  { tenant: 'local', project: 'main', runId: 'run_01HF3Z0000000000000000000B' },
] as const;
type Place = (typeof PLACES)[number];

const eventArb: fc.Arbitrary<RunEvent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom<RunEvent>(
      created(),
      created({ agent: 'builder-2', createdAt: NOW + 1 }),
      claimed(1),
      claimed(2, 'runner-2'),
      started(),
      expired(1, 'queued'),
      cancelRequested,
      asked('held'),
      asked('held', { approvalId: approvalB, expiresAt: NOW + 5 }),
      asked('parked'),
      answered(),
      answered({ approvalId: approvalB }),
      answered({ approvalId: approvalA, commandId: followUp }),
      told('steer'),
      acknowledged(followUp),
      turnFinished(),
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom(completed, cancelledQueued, expired(1, 'failed')) },
);

interface Told {
  readonly place: Place;
  readonly event: RunEvent;
}

const summaryAfter = (told: readonly Told[], place: Place): RunSummary | undefined => {
  const { tenant, project } = place;
  let view: RunSummary | undefined;
  for (const { event } of told.filter((one) => one.place === place))
    view = foldRun(view, { boundary: { tenant, project }, event });
  return view;
};

/** As a log has it: what comes after the end of a run changes nothing, so nothing comes. */
const historyArb = fc
  .array(fc.record({ place: fc.constantFrom(...PLACES), event: eventArb }), { maxLength: 40 })
  .map((all) => {
    const told: Told[] = [];
    for (const { place, event } of all) {
      if (isEnded(summaryAfter(told, place)?.state ?? 'queued')) continue;
      told.push({ place, event: { ...event, runId: place.runId } });
    }
    return told;
  });

const rowsOf = (summaries: readonly RunSummary[]) => ({
  held: summaries.filter(isHeld).map(keyOf).toSorted(),
  queued: summaries
    .filter(({ state }) => state === 'queued')
    .map(keyOf)
    .toSorted(),
  overdue: summaries
    .filter(({ openApprovals }) => openApprovals.some(({ expiresAt }) => expiresAt <= NOW + 10))
    .map(keyOf)
    .toSorted(),
  mine: summaries
    .filter(({ agent, tenant }) => agent === 'builder-1' && tenant === 'local')
    .map(({ runId, updatedAt, createdAt }) => ({ runId, updatedAt, createdAt }))
    .toSorted((a, b) => (a.runId < b.runId ? -1 : 1)),
  size: summaries.length,
});
const keyOf = ({ tenant, runId }: Pick<RunSummary, 'tenant' | 'runId'>): string => `${tenant} ${runId}`;

const shown = (index: Pick<UnfinishedIndex, 'held' | 'queued' | 'overdue' | 'ofAgent' | 'size'>) => {
  const keys = (runs: ReturnType<UnfinishedIndex['queued']>): readonly string[] =>
    runs.map(({ boundary, runId }) => keyOf({ ...boundary, runId })).toSorted();
  return {
    held: keys(index.held()),
    queued: keys(index.queued()),
    overdue: keys(index.overdue(NOW + 10)),
    mine: index
      .ofAgent({ tenant: 'local', project: 'main' }, 'builder-1')
      .map(({ runId, updatedAt, createdAt }) => ({ runId, updatedAt, createdAt }))
      .toSorted((a, b) => (a.runId < b.runId ? -1 : 1)),
    size: index.size,
  };
};

/** What a rebuild gives. */
const expectedOf = (told: readonly Told[]) =>
  rowsOf(PLACES.flatMap((place) => summaryAfter(told, place) ?? []).filter(({ state }) => !isEnded(state)));

/** The summary of a run when the bucket had seen so much of the log, or more of this run. */
const seenOf = (told: readonly Told[], place: Place, seenSeq: number) => {
  const seq = told.findLastIndex((one, at) => one.place === place && at < seenSeq) + 1;
  const view = seq === 0 ? undefined : summaryAfter(told.slice(0, seq), place);
  return view === undefined ? undefined : { seq, ...view };
};

const beginArb = fc.record({
  position: fc.nat({ max: 40 }),
  ahead: fc.array(fc.nat({ max: 10 }), { minLength: 3, maxLength: 3 }),
});

test('wherever it was begun, with what comes twice', () => {
  fc.assert(
    fc.property(historyArb, beginArb, fc.array(fc.nat()), (told, { position, ahead }, again) => {
      const begun = Math.min(position, told.length);
      const index = new UnfinishedIndex();
      for (const [at, place] of PLACES.entries()) {
        const seen = seenOf(told, place, begun + (ahead[at] ?? 0));
        if (seen !== undefined && !isEnded(seen.state)) index.restore(seen, told.length);
      }
      const apply = (at: number): void => {
        const one = told[at];
        if (one !== undefined) index.apply({ boundary: one.place, event: one.event }, at + 1);
      };
      for (let at = begun; at < told.length; at += 1) {
        apply(at);
        const repeated = again[at];
        if (repeated !== undefined) apply(begun + (repeated % (at - begun + 1)));
      }
      expect(shown(index)).toEqual(expectedOf(told));
    }),
    propertyRuns(400),
  );
});

const boundaryOf = ({ tenant, project }: Place) => ({ tenant, project });

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const topology = { streams: streamDefinitions(1), buckets: bucketDefinitions(1) };
  const broker = createMemoryBroker({ clock, ids, topology });
  const log = broker.eventLog('TRANSITIONS');
  const kv = broker.keyValue('runs');
  let count = 0;
  const append = async ({ place, event }: Told): Promise<void> => {
    count += 1;
    const meta = {
      id: `e${count}`,
      source: '/test',
      timeMs: NOW,
      actor: 'user:test',
      correlation: event.runId,
    };
    await log.append(encodeRunEvent(event, { boundary: boundaryOf(place), ...meta }));
  };
  /** As the projection leaves it. */
  const show = async (
    told: readonly Told[],
    { position, ahead }: { position: number; ahead: readonly number[] },
  ) => {
    for (const [at, place] of PLACES.entries()) {
      const seen = seenOf(told, place, position + (ahead[at] ?? 0));
      if (seen !== undefined) await kv.put(viewKey(boundaryOf(place), place.runId), jsonBytes(seen));
    }
    await kv.put(POSITION_KEY, encodePosition({ seq: position, projection: 'runs', version: 4, owner: 'x' }));
  };
  const follow = () => {
    const ending = new AbortController();
    let isHeldTold = 0;
    const runs = createUnfinishedRuns({ log, kv }, () => (isHeldTold += 1));
    const watching = runs.watch(ending.signal);
    const stop = async (): Promise<void> => {
      ending.abort();
      await watching;
    };
    return { runs, stop, heldTold: () => isHeldTold };
  };
  return { clock, append, show, follow };
};

test('from bucket and log, across a restart', async () => {
  await fc.assert(
    fc.asyncProperty(historyArb, beginArb, fc.nat(), async (told, { position, ahead }, pick) => {
      const { clock, append, show, follow } = world();
      const restartAt = pick % (told.length + 1);
      for (const one of told.slice(0, restartAt)) await append(one);
      const before = follow();
      await clock.settle();
      await before.runs.ready;
      expect(shown(before.runs)).toEqual(expectedOf(told.slice(0, restartAt)));
      await before.stop();
      await show(told.slice(0, restartAt), { position: Math.min(position, restartAt), ahead });
      const after = follow();
      await clock.settle();
      for (const one of told.slice(restartAt)) await append(one);
      await clock.settle();
      expect(shown(after.runs)).toEqual(expectedOf(told));
      expect(after.heldTold() > 0 || after.runs.held().length === 0).toBe(true);
      await after.stop();
    }),
    propertyRuns(60),
  );
});

test('what is no summary is passed over, and the log says the rest', async () => {
  const { clock, append, follow, show } = world();
  const [place] = PLACES;
  await show([{ place, event: created() }], { position: 0, ahead: [] });
  await append({ place, event: created({ runId: place.runId }) });
  await append({ place, event: { ...claimed(1), runId: place.runId } });
  const { runs, stop, heldTold } = follow();
  await clock.settle();
  expect(runs.held().map(({ runId, isHeld: held }) => [runId, held])).toEqual([[place.runId, true]]);
  expect(heldTold()).toBe(1);
  await stop();
});
