// A whole fleet in memory under a manual clock and one seed: any services on the memory ports, and runners that announce themselves,
// claim, renew, die with their work, are paused beyond their leases, and come back. Time moves only by `drive`.
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds, type SeededIds } from '#libs/memory/ids.ts';
import { createCheckBoard } from '#libs/service/checks.ts';
import type { Ports } from '#libs/service/context.ts';
import type { Service } from '#libs/service/define-service.ts';
import { startService, type RunningService } from '#libs/service/running-service.ts';
import { createLogger } from '#libs/telemetry/logger.ts';
import { createMetrics } from '#libs/telemetry/metrics.ts';
import { createHooks } from '#libs/telemetry/metrics-hooks.ts';
import { runnerConsumerName, topologyOf } from '#streams/consumers.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import type { RunAnswerOf, RunOperation, RunRequestOf } from '#streams/run-requests.ts';
import type { ProviderName } from '#streams/run.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import type { TaskAnswerOf, TaskOperation, TaskRequestOf } from '#streams/task-requests.ts';
import { BOUNDARY } from './control-plane.ts';
import { createMortalPorts } from './mortal-ports.ts';
import { ask, done, turnUnder } from './scripted-runner.ts';
import { askTasks } from './task-facts.ts';

/** A runner of the simulation. */
export interface SimulatedRunner {
  readonly agent: string;
  readonly providers: readonly ProviderName[];
  readonly slots: number;
  readonly labels?: readonly string[];
}

export interface World {
  readonly clock: ManualClock;
  readonly ids: SeededIds;
  readonly broker: MemoryBroker;
  readonly ports: Ports;
  /** Errors that would have ended a process. */
  readonly fatal: unknown[];
  /** What is wrong with the ports of every service; nothing, but in a world whose fault is to be caught. */
  readonly spoil: (ports: Ports) => Ports;
  /** What has happened, step by step, with the time of the world. */
  readonly tell: (what: string) => void;
  /** Whether the owner of runs has been up without a pause for a while: what it has to see to is only then its fault. */
  isWatchedOver(): boolean;
  /** Instances of the owner of runs that are up, and since when. */
  readonly owners: Set<{ readonly sinceMs: number }>;
}

export interface WorldOptions {
  readonly spoil?: (ports: Ports) => Ports;
  /** Told of every step. */
  readonly onStep?: (step: string) => void;
}

/** What an instance gets to find its feet. */
const SETTLED_MS = 2000;

export const createWorld = (
  seed: number,
  runners: readonly SimulatedRunner[],
  hosts: readonly string[] = [],
  { spoil = (ports) => ports, onStep = () => undefined }: WorldOptions = {},
): World => {
  const clock = createManualClock();
  const ids = createSeededIds(seed, clock);
  const agents = runners.map(({ agent }) => ({ ...BOUNDARY, agent }));
  const declared = topologyOf({
    replicas: 1,
    agents,
    hosts: hosts.map((host) => ({ ...BOUNDARY, host })),
  });
  // In memory a bucket is no stream that a consumer could be on; nobody here reads one that way.
  const consumers = declared.consumers.filter(({ stream }) => !stream.startsWith('KV_'));
  const broker = createMemoryBroker({ clock, ids, topology: { ...declared, consumers } });
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
  const owners: World['owners'] = new Set();
  const isWatchedOver = (): boolean =>
    !broker.faults.isAway && [...owners].some(({ sinceMs }) => clock.monotonicMs() - sinceMs > SETTLED_MS);
  const startedMs = clock.monotonicMs();
  const tell = (what: string): void =>
    onStep(`${((clock.monotonicMs() - startedMs) / 1000).toFixed(3).padStart(9)} ${what}`);
  return { clock, ids, broker, ports, fatal: [], spoil, tell, owners, isWatchedOver };
};

const silent = createMetrics({ processMetrics: false });
const silentHooks = createHooks(silent);

/** An instance of a service, in a process of its own. */
export interface Instance {
  readonly service: Service;
  /** Stops it in order. */
  stop(): Promise<void>;
  /** Ends it as SIGKILL does. */
  kill(): void;
}

/** Starts an instance of a service. `spoil`: what is wrong with its ports, in a world that is to be caught. */
export const start = (
  world: World,
  service: Service,
  config: Readonly<Record<string, unknown>> = {},
): Instance => {
  const mortal = createMortalPorts(world.spoil(world.ports));
  const running = startOn(world, mortal.ports, service, config);
  const up = { sinceMs: world.clock.monotonicMs() };
  if (service.name === 'runs') world.owners.add(up);
  return {
    service,
    stop: () => {
      world.owners.delete(up);
      return running.stop();
    },
    kill: () => {
      world.owners.delete(up);
      mortal.kill();
    },
  };
};

const startOn = (
  { ids, fatal }: World,
  ports: Ports,
  service: Service,
  config: Readonly<Record<string, unknown>>,
): RunningService =>
  startService(service, service.config.parse(config), {
    clock: ports.clock,
    ids,
    logger: createLogger({ level: 'silent', format: 'json', clock: ports.clock }),
    metrics: silent,
    hooks: silentHooks,
    ports,
    board: createCheckBoard(ports.clock),
    drainMs: 1000,
    onFatal: (error) => void fatal.push(error),
  });

/** A whole number below `most`. */
export const below = ({ ids }: World, most: number): number => Math.floor(ids.random() * most);
export const isLucky = ({ ids }: World, chance: number): boolean => ids.random() < chance;

/** Lets up to this much time pass. */
export const pause = (world: World, mostMs: number): Promise<void> => world.clock.sleep(below(world, mostMs));

/** Repeats a call until it is answered. */
const persist = async <T>({ clock }: World, call: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (toFault(error).retry === 'never') throw error;
      await clock.sleep(100);
    }
  }
};

/** An answer that is none becomes what it says. */
const answered = <Answer extends { readonly outcome: string }>(answer: Answer): Answer => {
  const { outcome, ...rest } = answer as unknown as {
    outcome: string;
    code: string;
    message: string;
    retry: 'later';
  };
  if (outcome === 'fault') throw new Fault(rest);
  return answer;
};

const askRuns = <Op extends RunOperation>(
  world: World,
  operation: Op,
  asked: { readonly request: RunRequestOf<Op>; readonly agent: string },
): Promise<RunAnswerOf<Op>> =>
  persist(world, async () => answered(await ask(world.ports, operation, asked.request, asked.agent)));

/** Asks the tasks service until it answers with a result or a refusal. */
export const askTasksUntilAnswered = <Op extends TaskOperation>(
  world: World,
  operation: Op,
  request: TaskRequestOf<Op>,
): Promise<TaskAnswerOf<Op>> =>
  persist(world, async () => answered(await askTasks(world.ports, operation, request)));

const ENDS: readonly TurnResult[] = [
  done,
  done,
  done,
  { ...done, outcome: 'failed', exitCode: 2, failure: { kind: 'provider-failed', message: 'exit code 2' } },
  { ...done, outcome: 'blocked', summary: 'needs a key' },
];

/** What a runner's process is doing. */
interface Life {
  isAlive: boolean;
  /** Grows with each death: a turn of an earlier life says nothing more. */
  number: number;
}

/** One turn: claims, reports the start, works under its lease, reports the end; or dies, or is paused beyond the lease. */
const doTurn = async (world: World, instruction: TurnInstruction, life: Life): Promise<void> => {
  const { clock, ports, ids } = world;
  const { runId, agent, leaseMs } = instruction;
  const { number } = life;
  const isGone = (): boolean => life.number !== number;
  const runnerId = `${agent}-${number}`;
  const claim = await askRuns(world, 'claim', { request: { runId, runnerId, claimId: ids.ulid() }, agent });
  if (claim.outcome !== 'ok' || isGone()) return;
  const { fence } = claim.result as { readonly fence: number };
  const turn = turnUnder(ports, instruction, fence);
  await persist(world, () => turn.started());
  for (let beats = below(world, 4); beats > 0; beats -= 1) {
    await clock.sleep(isLucky(world, 0.1) ? leaseMs + 500 : Math.floor(leaseMs / 3));
    if (isGone()) return;
    const renewed = await askRuns(world, 'renew', { request: { runId, runnerId, fence }, agent });
    if (renewed.outcome !== 'ok') return;
    if ((renewed.result as { readonly cancelRequested: boolean }).cancelRequested) {
      await persist(world, () => turn.finished({ ...done, outcome: 'cancelled' }));
      return;
    }
  }
  if (isGone()) return;
  await persist(world, () => turn.finished(ENDS[below(world, ENDS.length)]));
};

const announce = async (
  world: World,
  runner: SimulatedRunner,
  life: Life,
  signal: AbortSignal,
): Promise<void> => {
  const { agent, providers, slots, labels = [] } = runner;
  const { clock, ports } = world;
  while (!signal.aborted) {
    if (life.isAlive) {
      const facts = {
        providers: [...providers],
        slots,
        labels: [...labels],
        version: '1',
        startedAt: 1,
        buffered: 0,
      };
      const request = { runnerId: `${agent}-${life.number}`, ...facts, ttlMs: 6000 };
      // A word that is lost is followed by another.
      await ask(ports, 'announce', request, agent).catch(() => undefined);
    }
    await clock.sleep(2000, signal);
  }
};

const takeInstructions = async (
  world: World,
  { agent }: SimulatedRunner,
  life: Life,
  signal: AbortSignal,
): Promise<void> => {
  const queue = world.ports.queue('COMMANDS', runnerConsumerName(BOUNDARY, agent));
  for await (const batch of queue.batches({ max: 4, signal }))
    for (const delivery of batch) {
      if (!life.isAlive) {
        delivery.retry(1000);
        continue;
      }
      const reading = decodeInstruction(delivery.entry);
      if (reading.kind === 'known' && reading.name === 'turn') void doTurn(world, reading.data, life);
      delivery.ack();
    }
};

/** Lives and dies until the signal aborts; from `calm` on it only lives. */
export const runRunner = async (
  world: World,
  runner: SimulatedRunner,
  { signal, calm }: { readonly signal: AbortSignal; readonly calm: AbortSignal },
): Promise<void> => {
  const life: Life = { isAlive: true, number: 1 };
  const living = [announce(world, runner, life, signal), takeInstructions(world, runner, life, signal)];
  while (!calm.aborted) {
    await world.clock.sleep(3000 + below(world, 20_000), calm);
    if (calm.aborted) break;
    life.isAlive = false;
    life.number += 1;
    world.tell(`the runner of ${runner.agent} dies`);
    await world.clock.sleep(below(world, 15_000), calm);
    life.isAlive = true;
    world.tell(`the runner of ${runner.agent} is there again`);
  }
  await Promise.all(living);
};

/** Moves time until the work is done; fails when the fleet stands still for hours of its time. */
export const drive = async <T>({ clock }: World, work: Promise<T>, mostMs = 2 * 3_600_000): Promise<T> => {
  const progress = { isDone: false };
  const finish = (): void => {
    progress.isDone = true;
  };
  work.then(finish, finish);
  const deadlineMs = clock.monotonicMs() + mostMs;
  while (!progress.isDone) {
    if (clock.monotonicMs() > deadlineMs) throw new Error('the fleet stands still');
    await clock.advanceToNext();
  }
  return work;
};
