// One life of a fleet with policies under a seed: two instances of the lifecycle service that are stopped, killed and started, hosts that crash,
// nap and come back, runners that die, never register or are slow to stop, people who stop, start and restart, a broker that goes away,
// forgets, answers late and with what was the case when it was asked, a wall clock that jumps. Gives what was broken on the way: the laws of policy-verdict.ts, and in the end an
// agent that is missing, or one that runs and is not wanted.
import { seededFaultPlan } from '#libs/memory/faults.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { lifecycle } from '#services/lifecycle/service.ts';
import { POLICY_EVENT_MEANS } from '#streams/policy.ts';
import type { PolicyOperation, PolicyRequestOf } from '#streams/policy-requests.ts';
import { applyRequest, askPolicies } from './policy-facts.ts';
import { judgePolicies, unsettled } from './policy-settled.ts';
import type { Trouble } from './policy-verdict.ts';
import { watchRunnerWords } from './runner-words.ts';
import { startHost, type ScriptedHost } from './scripted-host.ts';
import {
  below,
  createWorld,
  drive,
  isLucky,
  pause,
  start,
  type Instance,
  type World,
} from './simulated-world.ts';
import type { Simulation, Size } from './simulation.ts';

const HOSTS = ['h1', 'h2'];
const POLICY_EVENTS = Object.keys(POLICY_EVENT_MEANS);

/** How much happens in one life. */
interface Extent {
  readonly policies: number;
  /** How often something is disturbed. */
  readonly rounds: number;
}
const EXTENTS: Readonly<Record<Size, Extent>> = {
  whole: { policies: 5, rounds: 8 },
  short: { policies: 2, rounds: 4 },
};

const ask = async <Op extends PolicyOperation>(
  world: World,
  operation: Op,
  request: PolicyRequestOf<Op>,
): Promise<void> => {
  for (;;) {
    try {
      const answer = await askPolicies(world.ports, operation, request);
      if (answer.outcome !== 'fault' || answer.retry === 'never') return;
    } catch (error) {
      if (toFault(error).retry === 'never') throw error;
    }
    await world.clock.sleep(200);
  }
};

const configOf = (world: World): Readonly<Record<string, unknown>> => ({
  mode: 'always-on',
  startTimeoutSeconds: 8,
  stopTimeoutSeconds: 2,
  backoff: { scheduleSeconds: [1, 3, 10], jitter: 0.2, resetAfterSeconds: 8 },
  // Some have a breaker.
  limits: { restarts: isLucky(world, 0.4) ? 1 : 0, windowSeconds: 120 },
  ...(isLucky(world, 0.3) && { host: HOSTS[below(world, HOSTS.length)] }),
});

const meddle = async (world: World, names: readonly string[], rounds: number): Promise<void> => {
  for (let round = 0; round < rounds; round += 1) {
    await pause(world, 5000);
    const policy = names[below(world, names.length)] ?? '';
    const about = { policy, requestId: world.ids.ulid(), actor: 'user:test' };
    const chance = world.ids.random();
    if (chance < 0.25) await ask(world, 'stop', { ...about, reason: 'chaos' });
    else if (chance < 0.55) await ask(world, 'start', { ...about, reason: 'chaos' });
    else if (chance < 0.75) await ask(world, 'restart', { ...about, reason: 'chaos', idleMs: 0 });
    else if (chance < 0.85) await ask(world, 'pause', { ...about, reason: 'chaos' });
    else if (chance < 0.95) await ask(world, 'resume', { ...about, reason: 'chaos' });
    else await ask(world, 'reset', { ...about, reason: 'chaos' });
  }
};

/** What can be disturbed, and the times in which nobody could have seen to a deadline. */
interface Fleet {
  readonly world: World;
  readonly instances: Instance[];
  readonly hosts: readonly ScriptedHost[];
  readonly troubles: Trouble[];
}

/** Notes how long something lasts that keeps everybody from working. */
const troubled = async ({ world, troubles }: Fleet, work: () => Promise<void>): Promise<void> => {
  const from = world.clock.now();
  const trouble: Trouble = { from, to: Number.MAX_SAFE_INTEGER };
  troubles.push(trouble);
  await work();
  trouble.to = Math.max(from, world.clock.now());
};

const restart = async ({ world, instances }: Fleet, at: number, isKilled: boolean): Promise<void> => {
  world.tell(`lifecycle (${at}) is ${isKilled ? 'killed' : 'stopped'}`);
  if (isKilled) instances[at]?.kill();
  else await instances[at]?.stop();
  await pause(world, 4000);
  instances[at] = start(world, lifecycle);
  world.tell(`lifecycle (${at}) is started`);
};

/** It dies in one of its next calls, and is there again a little later. */
const dieInACall = async ({ world, instances }: Fleet): Promise<void> => {
  const at = below(world, instances.length);
  instances[at]?.dieSoon(1 + below(world, 8), isLucky(world, 0.5) ? 'before' : 'after');
  await pause(world, 8000);
  // It had nothing to do: it dies now.
  instances[at]?.kill();
  instances[at] = start(world, lifecycle);
  world.tell(`lifecycle (${at}) is started`);
};

const hostGone = async ({ world, hosts }: Fleet, how: 'crash' | 'nap'): Promise<void> => {
  const host = hosts[below(world, hosts.length)];
  if (host?.isUp !== true) return;
  world.tell(`a host ${how === 'crash' ? 'is gone with its runners' : 'is killed, its runners live'}`);
  host[how]();
  await pause(world, 12_000);
  await host.comeBack();
  world.tell('it is there again');
};

const killRunner = async ({ world, hosts }: Fleet): Promise<void> => {
  const alive = hosts.flatMap((one) =>
    one.lives.filter(({ diedAt }) => diedAt === null).map((life) => ({ one, life })),
  );
  const chosen = alive[below(world, Math.max(1, alive.length))];
  if (chosen === undefined) return;
  world.tell(`the runner of ${chosen.life.spawnId} is killed`);
  await chosen.one.kill(chosen.life.spawnId);
};

const brokerAway = (fleet: Fleet): Promise<void> =>
  troubled(fleet, async () => {
    const { world } = fleet;
    world.tell('the broker goes away');
    world.broker.faults.goAway();
    // Now and then for longer than a word holds.
    await pause(world, isLucky(world, 0.3) ? 12_000 : 2000);
    world.broker.faults.comeBack();
    world.tell('the broker is back');
  });

const clockJump = ({ world, troubles }: Fleet): void => {
  const jumpMs = below(world, 40_000) - 20_000;
  const now = world.clock.now();
  world.tell(`the wall clock jumps by ${jumpMs} ms`);
  world.clock.jumpWall(jumpMs);
  troubles.push({ from: Math.min(now, now + jumpMs), to: Math.max(now, now + jumpMs), jumpMs });
};

/** Each as often as it stands here. */
const DISTURBANCES: readonly ((fleet: Fleet) => Promise<void> | void)[] = [
  brokerAway,
  ({ world }) => world.broker.faults.crash(below(world, 50)),
  clockJump,
  (fleet) => restart(fleet, below(fleet.world, 2), false),
  (fleet) => restart(fleet, below(fleet.world, 2), true),
  dieInACall,
  dieInACall,
  dieInACall,
  dieInACall,
  // Both at once: nobody is there for a while.
  (fleet) =>
    troubled(fleet, async () => void (await Promise.all([0, 1].map((at) => restart(fleet, at, true))))),
  (fleet) => hostGone(fleet, 'crash'),
  (fleet) => hostGone(fleet, 'nap'),
  killRunner,
  killRunner,
];

const disturb = async (fleet: Fleet, rounds: number): Promise<void> => {
  const { world } = fleet;
  for (let round = 0; round < rounds; round += 1) {
    await pause(world, 6000);
    await DISTURBANCES[below(world, DISTURBANCES.length)]?.(fleet);
  }
  world.broker.faults.plan({});
  world.tell('nothing goes wrong any more');
};

const FAULTS = {
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

/** Some looks take long: what they show is old when it is decided by, and the other instance was faster. */
const SLOW_LOOKS = { maxReadDelayMs: 3000, delayed: 0.08 };

/** Hosts whose runners misbehave until it is calm. */
const startHosts = (world: World, calm: AbortSignal, ending: AbortSignal) => {
  const whileWild = (chance: number): boolean => !calm.aborted && isLucky(world, chance);
  return HOSTS.map((host) =>
    startHost(
      world.ports,
      {
        host,
        registersAfterMs: () => (whileWild(0.1) ? undefined : below(world, 2000)),
        diesAfterMs: () => (whileWild(0.3) ? below(world, 10_000) : undefined),
        refuses: () => (whileWild(0.1) ? 'HOST_LOW' : undefined),
        stopsAfterMs: () => below(world, 3000),
        reportsEnds: () => !whileWild(0.1),
      },
      ending,
    ),
  );
};

/** Lives it to the end. The same seed is the same life. */
export const simulatePolicies: Simulation['live'] = async (seed, size, options = {}) => {
  const { policies, rounds } = EXTENTS[size];
  const world = createWorld(seed, { hosts: HOSTS }, options);
  world.broker.observeStream('TRANSITIONS', ({ seq, subject, headers }) => {
    const type = headers['ce-type'] ?? '';
    world.reach.note('event', type);
    world.tell(`${seq} ${type} ${subject.split('.').at(-1) ?? ''}`);
  });
  const words = watchRunnerWords(world);
  world.broker.faults.plan({ ...seededFaultPlan(seed, FAULTS), ...seededFaultPlan(seed, SLOW_LOOKS) });
  const instances = [start(world, lifecycle), start(world, lifecycle)];
  const [ending, calm] = [new AbortController(), new AbortController()];
  const hosts = startHosts(world, calm.signal, ending.signal);
  const fleet: Fleet = { world, instances, hosts, troubles: [] };
  const names = Array.from({ length: policies }, (_, at) => `p${at}`);
  const life = async (): Promise<void> => {
    const disturbing = disturb(fleet, rounds);
    for (const name of names) {
      const request = { ...applyRequest(name, configOf(world)), requestId: world.ids.ulid() };
      await ask(world, 'apply', request);
      await pause(world, 1000);
    }
    await meddle(world, names, rounds);
    await disturbing;
    calm.abort();
    do await world.clock.sleep(2000);
    while ((await unsettled(world.ports, hosts, names)).length > 0);
  };
  const faults: string[] = [];
  try {
    await drive(world, life(), 30 * 60_000);
  } catch (error) {
    faults.push(String(error), ...(await unsettled(world.ports, hosts, names)));
  }
  faults.push(
    ...words.faults,
    ...(await judgePolicies(world.ports, { hosts, names, troubles: fleet.troubles })),
  );
  ending.abort();
  const ends = [...instances.map((running) => running.stop()), ...hosts.map(({ done }) => done)];
  await drive(world, Promise.all(ends));
  const record: string[] = [];
  for await (const { seq, storedAt, subject, headers } of world.ports.log('TRANSITIONS').replay())
    record.push(`${seq} ${storedAt} ${subject} ${headers['ce-type'] ?? ''}`);
  return { faults: [...faults, ...world.fatal.map(String)], record, reach: world.reach.counts() };
};

/** Every event that there is, but those of turns, which nobody does here. */
const wanted = {
  event: POLICY_EVENTS.filter((type) => !/\.(stuck|unstuck|removed)\.v1$/.test(type)),
  // Between each two of what follows from one another: transition, instruction, timer.
  crash: ['before', 'after'].flatMap((half) =>
    ['TRANSITIONS', 'COMMANDS', 'TIMERS'].map((stream) => `lifecycle ${half} append to ${stream}`),
  ),
};

export const policySimulation: Simulation = { live: simulatePolicies, wanted };
