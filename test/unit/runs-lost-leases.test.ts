// The sweep for lost leases as a loop of a service: it ends when it is told to, also before it could begin.
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createInstructions } from '#services/runs/instructions.ts';
import { createLeases } from '#services/runs/leases.ts';
import { createLostLeases } from '#services/runs/lost-leases.ts';
import { createRunLog } from '#services/runs/run-log.ts';
import { createUnfinishedRuns } from '#services/runs/unfinished-runs.ts';
import { bucketDefinitions } from '#streams/buckets.ts';
import { streamDefinitions } from '#streams/streams.ts';

const sweepOf = () => {
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
  return { lost, unfinished: createUnfinishedRuns(broker.keyValue('runs')) };
};

test('a sweep that is stopped while the summaries are not there yet ends', async () => {
  const { lost, unfinished } = sweepOf();
  const stopping = new AbortController();
  const sweeping = lost.sweep(unfinished, 1000, stopping.signal);
  stopping.abort();
  await expect(sweeping).resolves.toBeUndefined();
});
