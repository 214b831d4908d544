// One life of a fleet with tasks under a seed: two instances each of tasks and dispatch (and one of runs) that are stopped and started,
// runners that die with their work, people who cancel and retry, a broker that goes away and forgets. Gives what was broken on the way.
import { seededFaultPlan } from '#libs/memory/faults.ts';
import type { Service } from '#libs/service/define-service.ts';
import { dispatch } from '#services/dispatch/service.ts';
import { runs } from '#services/runs/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { makeId } from '#streams/ids.ts';
import type { TaskRequestOf } from '#streams/task-requests.ts';
import { FleetWatch, unlikeTheirLog } from './fleet-watch.ts';
import { askTasksUntilAnswered, runRunner, type SimulatedRunner } from './simulated-fleet.ts';
import {
  below,
  createWorld,
  drive,
  isLucky,
  pause,
  start,
  type Instance,
  type World,
  type WorldOptions,
} from './simulated-world.ts';
import type { Lived, Simulation, Size } from './simulation.ts';

const RUNNERS: readonly SimulatedRunner[] = [
  { agent: 'a1', providers: ['exec'], slots: 1 },
  { agent: 'a2', providers: ['exec', 'claude'], slots: 2, labels: ['gpu'] },
];
const LIMITS = { fleetLimit: 3, queueLimits: ['q1=2', 'q2=1'], recallAfterMs: 2000 };
const JUDGED = { fleet: 3, queues: { q1: 2, q2: 1 }, agents: { a1: 1, a2: 2 } };
const SWEEP_MS = 2000;

/** How much happens in one life. */
interface Extent {
  readonly tasks: number;
  /** How often something is disturbed. */
  readonly rounds: number;
  readonly services: readonly Service[];
}

/** Two instances of what decides: nothing may depend on being alone. */
const EXTENTS: Readonly<Record<Size, Extent>> = {
  whole: { tasks: 8, rounds: 5, services: [runs, tasks, tasks, dispatch, dispatch] },
  short: { tasks: 3, rounds: 2, services: [runs, tasks, dispatch, dispatch] },
};

const orderOf = (world: World): TaskRequestOf<'create'> => {
  const needsGpu = isLucky(world, 0.2);
  return {
    taskId: makeId('task', world.ids.ulid()),
    queue: isLucky(world, 0.6) ? 'q1' : 'q2',
    lane: 'main',
    priority: below(world, 2),
    title: null,
    provider: isLucky(world, 0.25) ? 'claude' : 'exec',
    agent: isLucky(world, 0.15) ? 'a2' : null,
    labels: needsGpu ? ['gpu'] : [],
    sessionId: null,
    request: { prompt: 'work', turnTimeoutMs: 60_000 },
    replay: isLucky(world, 0.8) ? 'requeue' : 'fail',
    maxAttempts: 1 + below(world, 3),
    leaseMs: 4000,
    references: [],
    metadata: {},
    actor: 'user:test',
  };
};

const createTasks = async (world: World, count: number): Promise<readonly string[]> => {
  const taskIds: string[] = [];
  for (let at = 0; at < count; at += 1) {
    const order = orderOf(world);
    // Asked twice now and then, as by a client that lost its answer.
    for (let times = isLucky(world, 0.3) ? 2 : 1; times > 0; times -= 1)
      await askTasksUntilAnswered(world, 'create', order);
    taskIds.push(order.taskId);
    await pause(world, 1500);
  }
  return taskIds;
};

/** People cancel some of them, and let some that ended be tried again. */
const meddle = async (world: World, taskIds: readonly string[]): Promise<void> => {
  for (const taskId of taskIds) {
    await pause(world, 1500);
    const requestId = world.ids.ulid();
    if (isLucky(world, 0.25))
      await askTasksUntilAnswered(world, 'cancel', {
        taskId,
        requestId,
        reason: 'chaos',
        actor: 'user:test',
      });
    else if (isLucky(world, 0.4))
      await askTasksUntilAnswered(world, 'retry', { taskId, requestId, actor: 'user:test' });
  }
};

const CONFIG: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  dispatch: LIMITS,
  runs: { sweepMs: SWEEP_MS },
};

const launch = (world: World, service: Service): Instance =>
  start(world, service, CONFIG[service.name] ?? {});

/** One thing that goes wrong. */
type Disturbance = (world: World, instances: Instance[]) => Promise<void>;

const restart = async (world: World, instances: Instance[], isKilled: boolean): Promise<void> => {
  const at = below(world, instances.length);
  const instance = instances[at];
  if (instance === undefined) return;
  world.tell(`${instance.service.name} (${at}) is ${isKilled ? 'killed' : 'stopped'}`);
  if (isKilled) instance.kill();
  else await instance.stop();
  await pause(world, 3000);
  instances[at] = launch(world, instance.service);
  world.tell(`${instance.service.name} (${at}) is started`);
};

const DISTURBANCES: readonly Disturbance[] = [
  async (world) => {
    world.tell('the broker goes away');
    world.broker.faults.goAway();
    await pause(world, 1500);
    world.broker.faults.comeBack();
    world.tell('the broker is back');
  },
  async (world) => {
    const lost = below(world, 50);
    world.tell(`the broker forgets ${lost} acknowledgements of each consumer`);
    world.broker.faults.crash(lost);
  },
  async (world) => {
    const jumpMs = below(world, 120_000) - 60_000;
    world.tell(`the wall clock jumps by ${jumpMs} ms`);
    world.clock.jumpWall(jumpMs);
  },
  (world, instances) => restart(world, instances, false),
  (world, instances) => restart(world, instances, true),
  (world, instances) => restart(world, instances, true),
];

/** Stops, kills and starts instances, takes the broker away, lets it forget acknowledgements, and moves the wall clock. */
const disturb = async (world: World, instances: Instance[], rounds: number): Promise<void> => {
  for (let round = 0; round < rounds; round += 1) {
    await pause(world, 4000);
    await DISTURBANCES[below(world, DISTURBANCES.length)]?.(world, instances);
  }
  world.broker.faults.plan({});
  world.tell('nothing goes wrong any more');
};

/** Half the lease after it is over, and as long as a sweep takes to look: then a run has to have somebody again, or an end. */
const ORPHAN_MS = 2000 + SWEEP_MS + 1000;

/** Faults of the broker, as often as a life can take. */
const RATES = {
  dropAppend: 0.03,
  loseAppendAck: 0.04,
  loseWriteAck: 0.04,
  loseAnswer: 0.04,
  loseDeliveryAck: 0.03,
  forgetDeliveryAck: 0.02,
  // What comes late on one subject is overtaken by what comes on others.
  maxAppendAckDelayMs: 60,
  maxWatchDelayMs: 300,
};

const recordOf = async ({ ports }: World): Promise<readonly string[]> => {
  const record: string[] = [];
  for await (const { seq, storedAt, subject, headers } of ports.log('TRANSITIONS').replay())
    record.push(`${seq} ${storedAt} ${subject} ${headers['ce-type'] ?? ''}`);
  return record;
};

/** What is wrong with the buckets, once they had the time that they may take. */
const summariesFaults = async (world: World, watch: FleetWatch): Promise<readonly string[]> => {
  let faults: readonly string[] = [];
  for (let waitedMs = 0; waitedMs < 12_000; waitedMs += 1000) {
    await world.clock.sleep(1000);
    const judged = watch.verdict.faults.length;
    await watch.verdict.compareSummaries(world.ports.bucket('tasks'));
    faults = [...watch.verdict.judge.faults.splice(judged), ...(await unlikeTheirLog(world))];
    if (faults.length === 0) return [];
  }
  return faults;
};

/** Lives it to the end. The same seed is the same life. */
export const simulateTasks = async (seed: number, size: Size, options: WorldOptions = {}): Promise<Lived> => {
  const { tasks: count, rounds, services } = EXTENTS[size];
  const world = createWorld(seed, { agents: RUNNERS.map(({ agent }) => agent) }, options);
  const watch = new FleetWatch(world, JUDGED, ORPHAN_MS);
  world.broker.faults.plan(seededFaultPlan(seed, RATES));
  const instances = services.map((service) => launch(world, service));
  const [ending, calm] = [new AbortController(), new AbortController()];
  const runners = RUNNERS.map((runner) =>
    runRunner(world, runner, { signal: ending.signal, calm: calm.signal }),
  );
  const life = async (): Promise<readonly string[]> => {
    const disturbing = disturb(world, instances, rounds);
    await meddle(world, await createTasks(world, count));
    await disturbing;
    calm.abort();
    await watch.ended(count);
    return watch.faults().length > 0 ? [] : summariesFaults(world, watch);
  };
  const summaries = await drive(world, life());
  const faults = [...watch.faults(), ...summaries];
  ending.abort();
  // What is broken stays so, and nothing else of this life is worth waiting for.
  if (faults.length > 0) for (const instance of instances) instance.kill();
  else await drive(world, Promise.all([...instances.map((one) => one.stop()), ...runners]));
  return {
    faults: [...faults, ...world.fatal.map(String)],
    record: await recordOf(world),
    reach: world.reach.counts(),
  };
};

export const taskSimulation: Simulation = { live: simulateTasks, wanted: {} };
