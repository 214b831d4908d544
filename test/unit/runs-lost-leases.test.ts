// The sweeps of the runs service: they end when they are told to, also before they could begin; and a queue whose instructions
// the stream has forgotten is instructed again, the oldest runs first, a few at a time, and each once.
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createInstructions, decodeInstructingTransition } from '#services/runs/instructions.ts';
import { createLeases } from '#services/runs/leases.ts';
import { createLostInstructions } from '#services/runs/lost-instructions.ts';
import { createLostLeases } from '#services/runs/lost-leases.ts';
import { attemptCommandId, createRunLog } from '#services/runs/run-log.ts';
import { createUnfinishedRuns } from '#services/runs/unfinished-runs.ts';
import { bucketDefinitions } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { streamDefinitions } from '#streams/streams.ts';
import { createData } from '#test/support/run-history.ts';

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const topology = { streams: streamDefinitions(1), buckets: bucketDefinitions(1) };
  const broker = createMemoryBroker({ clock, ids, topology });
  const runLog = createRunLog({ log: broker.eventLog('TRANSITIONS'), clock, ids });
  const bucket = broker.keyValue('leases');
  const leases = createLeases(bucket, clock);
  const commands = broker.eventLog('COMMANDS');
  const instructions = createInstructions({ runLog, commands, clock });
  const lateResults = { settle: () => Promise.resolve(false) };
  const lost = createLostLeases({
    runLog,
    leases,
    instructions,
    lateResults,
    clock,
    bucket,
    onTrouble: () => undefined,
  });
  const lostInstructions = createLostInstructions({
    runLog,
    instructions,
    commands,
    clock,
    onTrouble: () => undefined,
  });
  const log = broker.eventLog('TRANSITIONS');
  return {
    clock,
    log,
    instructions,
    runLog,
    commands,
    lost,
    lostInstructions,
    unfinished: createUnfinishedRuns({ log, kv: broker.keyValue('runs') }),
  };
};

test('a sweep that is stopped while the summaries are not there yet ends', async () => {
  const { lost, unfinished } = world();
  const stopping = new AbortController();
  const sweeping = lost.sweep(unfinished, 1000, stopping.signal);
  stopping.abort();
  await expect(sweeping).resolves.toBeUndefined();
});

const boundary = { tenant: 'local', project: 'main' };
const HOUR_MS = 3_600_000;

/** Creates a run that waits for its runner, as the summaries show it. */
const queuedRun = async ({ clock, runLog }: ReturnType<typeof world>, at: number) => {
  const runId = `run_01HF3Z00000000000000000${String(at).padStart(3, '0')}`;
  const data = { ...createData(), runId, commandId: attemptCommandId(runId, 1) };
  await runLog.handle(
    { boundary, runId, actor: 'user:test' },
    { kind: 'create', data },
    { id: `${runId}.create` },
  );
  return { boundary, runId, updatedAt: clock.now() };
};

test('a queue whose instructions are no longer kept is instructed again, oldest first, in portions, each run once', async () => {
  const it = world();
  const { clock, commands, lostInstructions } = it;
  const queued: Awaited<ReturnType<typeof queuedRun>>[] = [];
  for (let at = 0; at < 20; at += 1) queued.push(await queuedRun(it, at));
  const looks = async (count: number): Promise<void> => {
    const stopping = new AbortController();
    let left = count;
    const unfinished = {
      watch: () => Promise.resolve(),
      ready: Promise.resolve(),
      held: () => [],
      overdue: () => [],
      ofAgent: () => [],
      queued: () => {
        left -= 1;
        if (left === 0) stopping.abort();
        return queued;
      },
      size: queued.length,
    };
    const sweeping = lostInstructions.sweep(unfinished, 10, stopping.signal);
    for (let step = 0; step <= count; step += 1) await clock.advance(10);
    await sweeping;
  };
  const { firstSeq: before } = await commands.bounds();
  await looks(2);
  expect(await commands.bounds(), 'nothing was dropped, so nothing is lost').toMatchObject({
    firstSeq: before,
    entries: 0,
  });
  // The first instruction of somebody else ages out, which is all that the stream has ever kept.
  const filler = { subject: 'fleet.local.main.cmd.2.builder-1.turn', headers: {}, body: new Uint8Array() };
  await commands.append({ ...filler, id: 'filler' });
  await clock.advance(8 * 24 * HOUR_MS);
  expect(await commands.bounds()).toMatchObject({ entries: 0 });
  await looks(1);
  expect(await commands.bounds()).toMatchObject({ entries: 16 });
  await looks(3);
  const told: string[] = [];
  for await (const { body } of commands.replay()) told.push((parseJson(body) as { runId: string }).runId);
  expect(told).toEqual(queued.map(({ runId }) => runId));
});

test('HR-49 a creation of long ago instructs the run that still waits, and no run that went on', async () => {
  const of = world();
  const [waiting, ended] = [await queuedRun(of, 1), await queuedRun(of, 2)];
  const target = { boundary, runId: ended.runId, actor: 'user:test' };
  await of.runLog.handle(target, { kind: 'cancel', reason: 'no' }, { id: `${ended.runId}.cancel` });
  await of.clock.advance(30 * 24 * HOUR_MS);
  for await (const entry of of.log.replay()) {
    const transition = decodeInstructingTransition(entry);
    if (transition?.event.type === 'fleetlog.run.created.v1') await of.instructions.handle(transition);
  }
  const told: unknown[] = [];
  for await (const { body } of of.commands.replay()) told.push(parseJson(body));
  expect(told).toMatchObject([{ runId: waiting.runId }]);
});
