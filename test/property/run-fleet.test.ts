// A whole fleet in memory under seeded chaos: two instances of the runs service that are stopped and started, runners that
// die with their work, cancels at any moment, lost acknowledgements and answers, a broker that goes away. Time moves by hand.
// Whatever happens: every run ends, once; fences and attempts keep their laws; the summaries equal the fold of the log.
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { seededFaultPlan } from '#libs/memory/faults.ts';
import { createSeededIds, type SeededIds } from '#libs/memory/ids.ts';
import type { Ports } from '#libs/service/context.ts';
import { createCheckBoard } from '#libs/service/checks.ts';
import { startService, type RunningService } from '#libs/service/running-service.ts';
import { createLogger } from '#libs/telemetry/logger.ts';
import { createMetrics } from '#libs/telemetry/metrics.ts';
import { createHooks } from '#libs/telemetry/metrics-hooks.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { isEnded } from '#services/runs/run-state.policy.ts';
import { foldRun, type RunSummary } from '#services/runs/run.view.ts';
import { runs } from '#services/runs/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { runnerConsumerName, topologyOf } from '#streams/consumers.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import type { RunAnswerOf, RunOperation, RunRequestOf } from '#streams/run-requests.ts';
import type { RunEvent } from '#streams/run.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { runRequest } from '#test/support/run-facts.ts';
import { ask, turnUnder } from '#test/support/scripted-runner.ts';
import { simulationSeeds } from '#test/support/seeds.ts';

const boundary = { tenant: 'local', project: 'main' };
const agent = 'builder-1';
const RUNS = 25;
const LEASE_MS = 4000;

interface World {
  readonly clock: ManualClock;
  readonly ids: SeededIds;
  readonly broker: MemoryBroker;
  readonly ports: Ports;
  readonly fatal: unknown[];
}

const createWorld = (seed: number): World => {
  const clock = createManualClock();
  const ids = createSeededIds(seed, clock);
  const topology = topologyOf({ replicas: 1, agents: [{ ...boundary, agent }] });
  const broker = createMemoryBroker({ clock, ids, topology });
  const ports: Ports = {
    clock,
    ids,
    log: (stream) => broker.eventLog(stream),
    bucket: (name) => broker.keyValue(name),
    queue: (stream, consumer) => broker.workQueue(stream, consumer),
    requests: { client: broker.requests, server: broker.requests },
    blobs: broker.blobs('bodies'),
    publisher: () => broker.publisher(),
  };
  return { clock, ids, broker, ports, fatal: [] };
};

const startRuns = ({ clock, ids, ports, fatal }: World): RunningService => {
  const metrics = createMetrics({ processMetrics: false });
  const logger = createLogger({ level: 'silent', format: 'json', clock });
  return startService(runs, runs.config.parse({}), {
    clock,
    ids,
    logger,
    metrics,
    hooks: createHooks(metrics),
    ports,
    board: createCheckBoard(clock),
    drainMs: 1000,
    onFatal: (error) => void fatal.push(error),
  });
};

/** Lets up to this much time pass. */
const pause = ({ clock, ids }: World, mostMs: number): Promise<void> =>
  clock.sleep(Math.floor(ids.random() * mostMs));

/** Repeats a call until it is answered. */
const persist = async <T>({ clock }: World, call: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (toFault(error).retry === 'never') throw error;
      await clock.sleep(50);
    }
  }
};

/** Asks the runs service until it answers with a result or a refusal. */
const askUntilAnswered = <Op extends RunOperation>(
  world: World,
  operation: Op,
  request: RunRequestOf<Op>,
): Promise<RunAnswerOf<Op>> =>
  persist(world, async () => {
    const answer = await ask(world.ports, operation, request);
    const { outcome, ...rest } = answer as { outcome: string; code: string; message: string; retry: 'later' };
    if (outcome === 'fault') throw new Fault(rest);
    return answer;
  });

/** One turn of a runner that may die, be slow, be cancelled, or do its work. */
const doTurn = async (world: World, instruction: TurnInstruction, runnerId: string): Promise<void> => {
  const { clock, ids, ports } = world;
  const { runId } = instruction;
  const claimId = ids.ulid();
  const claim = await askUntilAnswered(world, 'claim', { runId, runnerId, claimId });
  if (claim.outcome !== 'ok') return;
  const { fence } = claim.result as { readonly fence: number };
  const turn = turnUnder(ports, instruction, fence);
  await persist(world, () => turn.started());
  for (let beats = Math.floor(ids.random() * 5); beats > 0; beats -= 1) {
    // Dies with the claim, or is paused beyond its lease and goes on as if nothing had happened.
    if (ids.random() < 0.1) return;
    if (ids.random() < 0.25) await clock.sleep(LEASE_MS + 500);
    await clock.sleep(Math.floor(LEASE_MS / 3));
    const renewed = await askUntilAnswered(world, 'renew', { runId, runnerId, fence });
    if (renewed.outcome !== 'ok' && ids.random() < 0.4) return;
  }
  await persist(world, () => turn.finished());
};

/** Takes instructions until the signal aborts; every turn is somebody else's work from then on. */
const runRunner = async (world: World, runnerId: string, signal: AbortSignal): Promise<void> => {
  const queue = world.ports.queue('COMMANDS', runnerConsumerName(boundary, agent));
  for await (const batch of queue.batches({ max: 4, signal }))
    for (const delivery of batch) {
      const reading = decodeInstruction(delivery.entry);
      if (reading.kind === 'known' && reading.name === 'turn') void doTurn(world, reading.data, runnerId);
      delivery.ack();
    }
};

const createRuns = async (world: World): Promise<string[]> => {
  const runIds: string[] = [];
  for (let at = 0; at < RUNS; at += 1) {
    const asked = runRequest({
      runId: makeId('run', world.ids.ulid()),
      sessionId: makeId('session', world.ids.ulid()),
      leaseMs: LEASE_MS,
      maxAttempts: 1 + Math.floor(world.ids.random() * 3),
      replay: world.ids.random() < 0.8 ? 'requeue' : 'fail',
    });
    // Asked twice now and then, as by a client that lost its answer.
    for (let times = world.ids.random() < 0.3 ? 2 : 1; times > 0; times -= 1)
      await askUntilAnswered(world, 'create', asked);
    runIds.push(asked.runId);
    await pause(world, 500);
  }
  return runIds;
};

const cancelSome = async (world: World, runIds: readonly string[]): Promise<void> => {
  for (const runId of runIds) {
    await pause(world, 400);
    if (world.ids.random() < 0.25)
      await askUntilAnswered(world, 'cancel', { runId, reason: 'chaos', actor: 'user:test' });
  }
};

/** Stops and starts instances, and takes the broker away, for a while. */
const disturb = async (world: World, instances: RunningService[]): Promise<void> => {
  const { ids, broker } = world;
  for (let round = 0; round < 6; round += 1) {
    await pause(world, 3500);
    const chance = ids.random();
    if (chance < 0.4) {
      broker.faults.goAway();
      await pause(world, 1500);
      broker.faults.comeBack();
    } else if (chance < 0.6) broker.faults.crash(Math.floor(ids.random() * 50));
    else {
      const at = Math.floor(ids.random() * instances.length);
      await instances[at]?.stop();
      await pause(world, LEASE_MS);
      instances[at] = startRuns(world);
    }
  }
  broker.faults.plan({});
};

/** Moves time until the work is done; fails when the fleet stands still for an hour of its time. */
const drive = async <T>({ clock }: World, work: Promise<T>): Promise<T> => {
  const progress = { isDone: false };
  const finish = (): void => {
    progress.isDone = true;
  };
  work.then(finish, finish);
  const deadlineMs = clock.monotonicMs() + 3_600_000;
  while (!progress.isDone) {
    if (clock.monotonicMs() > deadlineMs) throw new Error('the fleet stands still');
    await clock.advance(100);
  }
  return work;
};

const historyOf = async ({ ports }: World, runId: string): Promise<{ event: RunEvent; seq: number }[]> => {
  const events: { event: RunEvent; seq: number }[] = [];
  for await (const entry of ports.log('TRANSITIONS').read(aggregateSubject(boundary, 'run', runId))) {
    const reading = decodeRunEvent(entry);
    if (reading.kind !== 'known') throw new Error(`entry ${entry.seq} cannot be read`);
    events.push({ event: reading.event, seq: entry.seq });
  }
  return events;
};

const allEnded = async (world: World, runIds: readonly string[]): Promise<void> => {
  for (const runId of runIds)
    for (;;) {
      const state = fold(
        runDecider,
        (await historyOf(world, runId)).map(({ event }) => event),
      );
      if (state !== undefined && isEnded(state.state)) break;
      await world.clock.sleep(1000);
    }
};

const checkLaws = async (world: World, runId: string): Promise<void> => {
  const events = await historyOf(world, runId);
  const fences = events.flatMap(({ event }) =>
    event.type === 'fleetlog.run.claimed.v1' ? [event.fence] : [],
  );
  expect(fences).toEqual(fences.map((_, at) => at + 1));
  const state = fold(
    runDecider,
    events.map(({ event }) => event),
  );
  expect(fences.length).toBeLessThanOrEqual(state?.created.maxAttempts ?? 0);
  for (const [at, { event }] of events.entries()) {
    const history = events.slice(0, at).map((one) => one.event);
    const before = fold(runDecider, history);
    if (before === undefined) continue;
    expect(isEnded(before.state), `${event.type} after the end`).toBe(false);
    // What is done to a claimed run is done under its newest claim.
    if (event.type !== 'fleetlog.run.claimed.v1' && 'fence' in event && event.fence !== null)
      expect([event.type, event.fence]).toEqual([event.type, before.claims]);
  }
  let view: RunSummary | undefined;
  for (const { event } of events) view = foldRun(view, { boundary, event });
  const stored = await world.ports.bucket('runs').get(viewKey(boundary, runId));
  expect(parseJson(stored?.value ?? new Uint8Array())).toEqual({ seq: events.at(-1)?.seq, ...view });
};

for (const seed of simulationSeeds())
  test(`every run ends once, and all laws hold (seed ${seed})`, async () => {
    const world = createWorld(seed);
    const { broker } = world;
    const plan = seededFaultPlan(seed, {
      dropAppend: 0.03,
      loseAppendAck: 0.05,
      loseWriteAck: 0.05,
      loseAnswer: 0.05,
      loseDeliveryAck: 0.03,
      forgetDeliveryAck: 0.02,
    });
    broker.faults.plan(plan);
    const instances = [startRuns(world), startRuns(world)];
    const ending = new AbortController();
    const runners = ['r1', 'r2'].map((name) => runRunner(world, name, ending.signal));
    const life = async (): Promise<string[]> => {
      const disturbing = disturb(world, instances);
      const runIds = await createRuns(world);
      await cancelSome(world, runIds);
      await disturbing;
      await allEnded(world, runIds);
      // The projection and the expiry of leases get the time that they may take.
      await world.clock.sleep(60_000);
      return runIds;
    };
    const runIds = await drive(world, life());
    expect(world.fatal).toEqual([]);
    for (const runId of runIds) await checkLaws(world, runId);
    const leases: string[] = [];
    for await (const key of world.ports.bucket('leases').keys()) leases.push(key);
    expect(leases).toEqual([]);
    ending.abort();
    await drive(world, Promise.all([...instances.map((one) => one.stop()), ...runners]));
  }, 60_000);
