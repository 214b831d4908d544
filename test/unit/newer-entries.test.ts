// Two versions run side by side, as in a rolling update: what the older one does with types that only the newer one knows.
import { expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { ProjectionEvent } from '#libs/projections/parts.ts';
import { runProjection } from '#libs/projections/run-projection.ts';
import { runsProjection } from '#services/runs/projections.ts';
import { createRunLog } from '#services/runs/run-log.ts';
import { encodeEntry } from '#streams/entry.ts';
import { MUST_UNDERSTAND } from '#streams/envelope.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { createData, NOW, runId } from '#test/support/run-history.ts';

const BOUNDARY = { tenant: 'local', project: 'main' };
const target = { boundary: BOUNDARY, runId, actor: 'user:anna' };

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const topology = { streams: [{ name: 'TRANSITIONS', subjects: ['fleet.>'] }], buckets: [{ name: 'runs' }] };
  const broker = createMemoryBroker({ clock, ids, topology });
  const log = broker.eventLog('TRANSITIONS');
  const runLog = () => createRunLog({ log, clock, ids });
  const create = async (): Promise<void> => {
    await runLog().handle(target, { kind: 'create', data: createData() }, { id: 'create', begins: true });
  };
  /** What a newer version appends to the run. */
  const appendNewer = async (id: string, headers: Readonly<Record<string, string>> = {}): Promise<void> => {
    const meta = { boundary: BOUNDARY, id, source: '/service/runs', timeMs: NOW, actor: 'user:anna' };
    const subject = aggregateSubject(BOUNDARY, 'run', runId);
    const parts = encodeEntry(meta, { type: 'fleetlog.run.praised.v1', subject, about: runId }, { runId });
    await log.append({ ...parts, headers: { ...parts.headers, ...headers } });
  };
  return { clock, ids, broker, log, runLog, create, appendNewer };
};

test('a decider goes on past a type that a newer version wrote, at the place behind it', async () => {
  const { runLog, create, appendNewer } = world();
  await create();
  await appendNewer('praise');
  const outcome = await runLog().handle(target, { kind: 'cancel', reason: 'enough' }, { id: 'cancel' });
  expect(outcome).toMatchObject({ kind: 'accepted', seq: 3, event: { type: 'fleetlog.run.cancelled.v1' } });
});

test('a decider decides nothing past a newer type that says it must be understood', async () => {
  const { log, runLog, create, appendNewer } = world();
  await create();
  await appendNewer('praise', { [MUST_UNDERSTAND]: '1' });
  await expect(
    runLog().handle(target, { kind: 'cancel', reason: 'enough' }, { id: 'cancel' }),
  ).rejects.toMatchObject({ code: 'AGGREGATE_UNREADABLE', retry: 'never' });
  expect((await log.bounds()).lastSeq).toBe(2);
});

test('a projection folds on past newer types, tells of each once, and parks nothing', async () => {
  const { clock, ids, broker, log, runLog, create, appendNewer } = world();
  const kv = broker.keyValue('runs');
  const told: ProjectionEvent[] = [];
  const poisons: unknown[] = [];
  const fatal: unknown[] = [];
  await create();
  await appendNewer('praise');
  const running = runProjection({
    projection: runsProjection,
    log,
    kv,
    clock,
    ids,
    onPoison: async (poison) => void poisons.push(poison),
    observe: (event) => void told.push(event),
    onFatal: (error) => fatal.push(error),
  });
  await clock.settle();
  await appendNewer('more praise');
  await runLog().handle(target, { kind: 'cancel', reason: 'enough' }, { id: 'cancel' });
  await clock.settle();
  const entry = await kv.get(`local.main.${runId}`);
  expect(JSON.parse(Buffer.from(entry?.value ?? []).toString())).toMatchObject({
    seq: 4,
    state: 'cancelled',
  });
  expect(running.position()).toBe(4);
  expect(told.filter(({ kind }) => kind === 'newer')).toMatchObject([
    { type: 'fleetlog.run.praised.v1', entry: { seq: 2 } },
  ]);
  expect([poisons, fatal]).toEqual([[], []]);
  await running.stop();
});
