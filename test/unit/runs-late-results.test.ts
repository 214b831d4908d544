// A lease that is lost although its holder had finished: the result in the log counts, not the loss.
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { createInstructions } from '#services/runs/instructions.ts';
import { createLateResults } from '#services/runs/late-results.ts';
import { createLeases } from '#services/runs/leases.ts';
import { createLostLeases } from '#services/runs/lost-leases.ts';
import { decodeTurnReport, handleTurnReport } from '#services/runs/reports.ts';
import { attemptCommandId, createRunLog, hashOf } from '#services/runs/run-log.ts';
import { topologyOf } from '#streams/consumers.ts';
import { makeId } from '#streams/ids.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { RunEvent } from '#streams/run.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { runRequest } from '#test/support/run-facts.ts';

const boundary = { tenant: 'local', project: 'main' };
const agent = 'builder-1';

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const broker = createMemoryBroker({ clock, ids, topology: topologyOf({ replicas: 1, agents: [] }) });
  const [events, commands] = [broker.eventLog('EVENTS'), broker.eventLog('COMMANDS')];
  const bucket = broker.keyValue('leases');
  const runLog = createRunLog({ log: broker.eventLog('TRANSITIONS'), clock, ids });
  const leases = createLeases(bucket, clock);
  const deadlines = { set: () => Promise.resolve() };
  const handle = handleTurnReport({ runLog, leases, deadlines, events, redactor: createRedactor(), clock });
  const lost = createLostLeases({
    runLog,
    leases,
    instructions: createInstructions({ runLog, commands, clock }),
    lateResults: createLateResults({ events, handle }),
    bucket,
    clock,
    onTrouble: (_runId, fault) => {
      throw fault;
    },
  });
  return { clock, ids, broker, events, runLog, lost, handle };
};
type World = ReturnType<typeof world>;

/** A run that a runner held for some time, whose lease is gone. */
const lostRun = async ({ runLog, clock }: World): Promise<string> => {
  const { actor, ...asked } = runRequest({ agent });
  const { runId } = asked;
  const target = { boundary, runId, actor };
  const data = { ...asked, requestHash: hashOf(asked), commandId: attemptCommandId(runId, 1) };
  await runLog.handle(target, { kind: 'create', data }, { id: `${runId}.create` });
  await runLog.handle(target, { kind: 'claim', runnerId: 'r1', agent }, { id: `${runId}.claim.1` });
  await clock.advance(5000);
  return runId;
};

/** The report that its turn is done, in the log and not yet handled; that it was started as well, if wanted. */
const report = async (
  { events, clock, ids }: World,
  runId: string,
  { fence = 1, hasStarted = false } = {},
): Promise<void> => {
  const result = {
    outcome: 'done',
    exitCode: 0,
    signal: null,
    summary: '',
    failure: null,
    durationMs: 1,
    events: 0,
  } as const;
  const turn = { turnId: makeId('turn', ids.ulid()), sessionId: makeId('session', ids.ulid()) };
  const data = { runId, ...turn, commandId: attemptCommandId(runId, 1), result, endedAt: clock.now() };
  const meta = {
    boundary,
    agent,
    id: `${turn.turnId}.finished`,
    source: '/runner/builder-1',
    actor: `agent:${agent}`,
  };
  if (hasStarted) {
    const { result: _result, endedAt: startedAt, ...about } = data;
    const runner = { runnerId: 'r1', provider: 'exec' as const, program: ['a'], workspace: 'w', pid: 1 };
    const started = { ...about, ...runner, startedAt };
    const startMeta = { ...meta, id: `${turn.turnId}.started`, timeMs: clock.now(), fence };
    await events.append(encodeReport('turn-started', started, startMeta));
  }
  await events.append(encodeReport('turn-finished', data, { ...meta, timeMs: clock.now(), fence }));
};

const typesOf = async ({ broker }: World, runId: string): Promise<string[]> => {
  const types: RunEvent['type'][] = [];
  for await (const entry of broker.eventLog('TRANSITIONS').read(aggregateSubject(boundary, 'run', runId))) {
    const reading = decodeRunEvent(entry);
    if (reading.kind === 'known') types.push(reading.event.type);
  }
  return types.map((type) => type.split('.')[2] ?? '');
};

/** One look of the sweep. */
const sweep = async ({ lost }: World, runId: string): Promise<void> => {
  const once = new AbortController();
  const unfinished = {
    watch: () => Promise.resolve(),
    ready: Promise.resolve(),
    queued: () => [],
    overdue: () => [],
    ofAgent: () => [],
    held: () => {
      once.abort();
      return [
        { boundary, runId, agent: 'builder-1', createdAt: 0, updatedAt: 0, isHeld: true, isQueued: false },
      ];
    },
    size: 1,
  };
  await lost.sweep(unfinished, 1000, once.signal);
};

test('ends its run with the result that the log has, and the report changes nothing when its turn comes', async () => {
  const it = world();
  const runId = await lostRun(it);
  await report(it, runId);
  await sweep(it, runId);
  expect(await typesOf(it, runId)).toEqual(['created', 'claimed', 'completed']);
  for await (const entry of it.events.replay()) {
    const late = decodeTurnReport(entry);
    if (late !== undefined) await it.handle(late);
  }
  expect(await typesOf(it, runId)).toEqual(['created', 'claimed', 'completed']);
  expect((await it.events.bounds()).entries).toBe(1);
});

test('WK-79 a turn whose end is handled before its start is on record with both, and the start changes nothing when its turn comes', async () => {
  const it = world();
  const runId = await lostRun(it);
  const other = await lostRun(it);
  await report(it, other, { hasStarted: true });
  await report(it, runId, { hasStarted: true });
  const reports = [];
  for await (const entry of it.events.replay()) reports.push(decodeTurnReport(entry));
  for (const one of reports.toReversed()) if (one !== undefined) await it.handle(one);
  for (const id of [runId, other])
    expect(await typesOf(it, id)).toEqual(['created', 'claimed', 'turn-started', 'completed']);
  // Nothing was refused, which would be on record beside the four reports.
  expect((await it.events.bounds()).entries).toBe(4);
});

test('is lost when the log has a result of an earlier claim, of another run, or none', async () => {
  const it = world();
  const [runId, other] = [await lostRun(it), await lostRun(it)];
  await report(it, other);
  await report(it, runId, { fence: 7 });
  await sweep(it, runId);
  expect(await typesOf(it, runId)).toEqual(['created', 'claimed', 'lease-expired']);
});
