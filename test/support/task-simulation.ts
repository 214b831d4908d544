// One life of a fleet under a seed: instances of runs, tasks, dispatch and sessions, one or two of each, that are stopped, killed and started;
// runners that die with their work; people who order, change their minds and answer; a broker and clocks that fail. Gives what was broken on the way.
import { seededFaultPlan } from '#libs/memory/faults.ts';
import type { Service } from '#libs/service/define-service.ts';
import { dispatch } from '#services/dispatch/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { CATALOGUE as EVENT_CATALOGUE } from '#streams/catalogue.ts';
import { REJECTIONS } from '#streams/rejections.ts';
import { unlikeTheirLog } from './bucket-verdict.ts';
import { FleetWatch, shortType } from './fleet-watch.ts';
import { answerQuestion, liveAmongThem } from './simulated-people.ts';
import { runRunner, type SimulatedRunner } from './simulated-runner.ts';
import { makeTrouble, noteTrouble, ratesOf } from './simulated-trouble.ts';
import {
  createWorld,
  drive,
  isLucky,
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
const LIMITS = { fleetLimit: 2, queueLimits: ['q1=2', 'q2=1'], recallAfterMs: 2000 };
const JUDGED = { fleet: 2, queues: { q1: 2, q2: 1 }, agents: { a1: 1, a2: 2 } };
const SWEEP_MS = 2000;
/** Half the lease after it is over, and as long as a sweep takes to look: then a run has to have somebody again, or an end. */
const ORPHAN_MS = 2000 + SWEEP_MS + 1000;
/** What the summaries may take to be complete once nothing goes wrong any more. */
const SUMMARIES_MS = 12_000;
/** What everything may take to come to its end once nothing goes wrong any more: several leases, questions and deliveries one after another. */
const STANDSTILL_MS = 180_000;
const MOST_MS = 30 * 60_000;

/** How much happens in one life. */
interface Extent {
  /** What people begin. */
  readonly errands: number;
  /** How often there is trouble. */
  readonly rounds: number;
}

const EXTENTS: Readonly<Record<Size, Extent>> = {
  whole: { errands: 7, rounds: 8 },
  short: { errands: 2, rounds: 2 },
};

const CONFIG: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  dispatch: LIMITS,
  runs: { sweepMs: SWEEP_MS },
  sessions: { collectMs: 5000 },
};

const launch = (world: World, service: Service): Instance =>
  start(world, service, CONFIG[service.name] ?? {});

/** Who is there: nothing may depend on being alone, or on not being so. */
const servicesOf = (world: World): readonly Service[] => {
  const second = (service: Service, chance: number): Service[] => (isLucky(world, chance) ? [service] : []);
  return [
    runs,
    tasks,
    dispatch,
    ...second(runs, 0.35),
    ...second(tasks, 0.35),
    ...second(dispatch, 0.6),
    ...second(sessions, 0.25),
  ];
};

const recordOf = async ({ ports }: World): Promise<readonly string[]> => {
  const record: string[] = [];
  for await (const { seq, storedAt, subject, headers } of ports.log('TRANSITIONS').replay())
    record.push(`${seq} ${storedAt} ${subject} ${headers['ce-type'] ?? ''}`);
  return record;
};

/** Everything has ended: nothing is held any more. */
const leftLeases = async ({ ports }: World): Promise<readonly string[]> => {
  const left: string[] = [];
  // The collector of sessions keeps its own.
  for await (const key of ports.bucket('leases').keys())
    if (/\brun_/.test(key)) left.push(`lease ${key} is left`);
  return left;
};

/** What is wrong with the buckets, once they had the time that they may take. */
const summariesFaults = async (
  world: World,
  watch: FleetWatch,
  hasSessions: boolean,
): Promise<readonly string[]> => {
  let faults: readonly string[] = [];
  for (let waitedMs = 0; waitedMs < SUMMARIES_MS; waitedMs += 1000) {
    await world.clock.sleep(1000);
    const judged = watch.verdict.faults.length;
    await watch.verdict.compareSummaries(world.ports.bucket('tasks'));
    faults = [
      ...watch.verdict.judge.faults.splice(judged),
      ...(await unlikeTheirLog(world, hasSessions)),
      ...(await leftLeases(world)),
    ];
    if (faults.length === 0) return [];
  }
  return faults;
};

/** Lives it to the end. The same seed is the same life. */
export const simulateTasks = async (seed: number, size: Size, options: WorldOptions = {}): Promise<Lived> => {
  const { errands, rounds } = EXTENTS[size];
  const world = createWorld(seed, { agents: RUNNERS.map(({ agent }) => agent) }, options);
  const watch = new FleetWatch(world, JUDGED, ORPHAN_MS);
  world.broker.faults.plan(seededFaultPlan(seed, ratesOf(world)));
  const services = servicesOf(world);
  const hasSessions = services.includes(sessions);
  const instances = services.map((service) => launch(world, service));
  const [ending, calm] = [new AbortController(), new AbortController()];
  const runners = RUNNERS.map((runner) =>
    runRunner(world, runner, {
      signal: ending.signal,
      calm: calm.signal,
      onDeath: ({ turns }) => {
        noteTrouble({ world, watch }, 'a runner dies');
        for (const { phase } of turns.values()) world.reach.note('trouble', `a runner dies × ${phase}`);
      },
    }),
  );
  watch.onAsked = (asked) => void answerQuestion(world, asked);
  const life = async (): Promise<readonly string[]> => {
    const again = ({ service }: Instance): Instance => launch(world, service);
    const trouble = makeTrouble({ world, watch, instances, launch: again }, rounds);
    const faults = await liveAmongThem(world, errands, { hasSessions });
    await trouble;
    world.broker.faults.plan({});
    world.tell('nothing goes wrong any more');
    calm.abort();
    await Promise.race([watch.ended(), world.clock.sleep(STANDSTILL_MS)]);
    if (watch.faults().length === 0 && watch.states().length > 0)
      return [`still not at its end after ${STANDSTILL_MS} ms: ${watch.states().join(', ')}`];
    return watch.faults().length > 0
      ? faults
      : [...faults, ...(await summariesFaults(world, watch, hasSessions))];
  };
  const others = await drive(world, life(), MOST_MS).catch((error: unknown) => [
    `${String(error)}: ${watch.states().join(', ')}`,
  ]);
  const faults = [...watch.faults(), ...others];
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

const REFUSALS = Object.keys(REJECTIONS).filter((code) =>
  /^(RUN|APPROVAL|TASK|ADMISSION|SESSION|KEY)_/.test(code),
);
const TRANSITIONS = EVENT_CATALOGUE.filter(({ family }) =>
  ['run', 'task', 'session', 'admission'].includes(family),
).map(({ type }) => shortType(type));

export const taskSimulation: Simulation = {
  live: simulateTasks,
  wanted: { refusal: REFUSALS, transition: TRANSITIONS },
};
