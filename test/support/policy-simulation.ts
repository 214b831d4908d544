// One life of a fleet with policies under a seed: two instances of the lifecycle service that are stopped and started, hosts that crash and
// come back, runners that die, never register or are slow to stop, people who stop, start and restart, a broker that goes away and forgets.
// Gives what was broken on the way: an agent that ran twice, one that is missing, one that runs and is not wanted.
import { seededFaultPlan } from '#libs/memory/faults.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { evolvePolicy, type PolicyState } from '#services/lifecycle/policy-state.policy.ts';
import { lifecycle } from '#services/lifecycle/service.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { PolicyOperation, PolicyRequestOf } from '#streams/policy-requests.ts';
import { applyRequest, askPolicies, policyHistory } from './policy-facts.ts';
import { startHost, type ScriptedHost } from './scripted-host.ts';
import { below, createWorld, drive, isLucky, pause, start, type World } from './simulated-world.ts';
import type { Simulation, Size } from './simulation.ts';

const HOSTS = ['h1', 'h2'];

/** How much happens in one life. */
interface Extent {
  readonly policies: number;
  /** How often something is disturbed. */
  readonly rounds: number;
}
const EXTENTS: Readonly<Record<Size, Extent>> = {
  whole: { policies: 5, rounds: 8 },
  short: { policies: 2, rounds: 3 },
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
  backoff: { scheduleSeconds: [1, 3, 10], jitter: 0.2, resetAfterSeconds: 60 },
  limits: { restarts: 0 },
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

const disturb = async (
  world: World,
  {
    instances,
    hosts,
  }: { readonly instances: ReturnType<typeof start>[]; readonly hosts: readonly ScriptedHost[] },
  rounds: number,
): Promise<void> => {
  const { ids, broker } = world;
  for (let round = 0; round < rounds; round += 1) {
    await pause(world, 6000);
    const chance = ids.random();
    const host = hosts[below(world, hosts.length)];
    if (chance < 0.2) {
      broker.faults.goAway();
      await pause(world, 2000);
      broker.faults.comeBack();
    } else if (chance < 0.35) broker.faults.crash(below(world, 50));
    else if (chance < 0.6) {
      const at = below(world, instances.length);
      await instances[at]?.stop();
      await pause(world, 4000);
      instances[at] = start(world, lifecycle);
    } else if (chance < 0.8 && host !== undefined) {
      host.crash();
      await pause(world, 12_000);
      await host.comeBack();
    } else {
      const alive = hosts.flatMap((one) =>
        one.lives.filter(({ diedAt }) => diedAt === null).map((life) => ({ one, life })),
      );
      const chosen = alive[below(world, Math.max(1, alive.length))];
      await chosen?.one.kill(chosen.life.spawnId);
    }
  }
  broker.faults.plan({});
};

const wanted = (policy: PolicyState): boolean =>
  policy !== undefined && !policy.isRemoved && !policy.isPaused && policy.asked !== 'stopped';

const livesOf = (hosts: readonly ScriptedHost[], policy: string) =>
  hosts
    .flatMap(({ lives }) => lives.filter((life) => life.policy === policy))
    .toSorted((a, b) => a.bornAt - b.bornAt);

const stateOf = async (world: World, policy: string): Promise<PolicyState> => {
  let state: PolicyState;
  for (const event of await policyHistory(world.ports, policy)) state = evolvePolicy(state, event);
  return state;
};

/** Everything is as it is wanted: what should run runs, once, under the start on record; nothing else lives. */
const isSettled = async (
  world: World,
  hosts: readonly ScriptedHost[],
  names: readonly string[],
): Promise<boolean> => {
  for (const name of names) {
    const state = await stateOf(world, name);
    const alive = livesOf(hosts, name).filter(({ diedAt }) => diedAt === null);
    const isRight = wanted(state)
      ? state?.state === 'running' && alive.length === 1 && alive[0]?.spawnId === state.spawn?.spawnId
      : state?.state === 'stopped' && alive.length === 0;
    if (!isRight) return false;
  }
  return true;
};

/** Where each start, and each order to end one, stands in COMMANDS. */
const ordersOf = async (world: World) => {
  const starts = new Map<string, number>();
  const stops = new Map<string, number>();
  for await (const entry of world.ports.log('COMMANDS').replay()) {
    const reading = decodeInstruction(entry);
    if (reading.kind !== 'known') continue;
    if (reading.name === 'agent-spawn') starts.set(reading.data.spawnId, entry.seq);
    if (reading.name === 'agent-shutdown' && !stops.has(reading.data.spawnId))
      stops.set(reading.data.spawnId, entry.seq);
  }
  return { starts, stops };
};

/** Starts that ran at once although the order to end the first had not gone out before the second: more cannot be known of a host that says nothing. */
const together = (
  lives: ReturnType<typeof livesOf>,
  { starts, stops }: Awaited<ReturnType<typeof ordersOf>>,
): string[] =>
  lives.flatMap((later, at) =>
    lives.slice(0, at).flatMap((earlier) => {
      if ((earlier.diedAt ?? Infinity) <= later.bornAt) return [];
      const [first = '', second = ''] = [earlier.spawnId, later.spawnId].toSorted(
        (one, other) => (starts.get(one) ?? 0) - (starts.get(other) ?? 0),
      );
      const isTold = (stops.get(first) ?? Infinity) <= (starts.get(second) ?? 0);
      return isTold ? [] : [`${first} and ${second}`];
    }),
  );

const judge = async (
  world: World,
  hosts: readonly ScriptedHost[],
  names: readonly string[],
): Promise<string[]> => {
  const faults: string[] = [];
  const orders = await ordersOf(world);
  const { starts } = orders;
  for (const name of names) {
    const lives = livesOf(hosts, name);
    if (new Set(lives.map(({ spawnId }) => spawnId)).size !== lives.length)
      faults.push(`${name}: a start was done twice`);
    faults.push(...together(lives, orders).map((pair) => `${name}: ${pair} ran at once`));
    for (const { spawnId } of lives)
      if (!starts.has(spawnId)) faults.push(`${name}: ${spawnId} was never ordered`);
  }
  return faults;
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
  world.broker.faults.plan(
    seededFaultPlan(seed, {
      dropAppend: 0.03,
      loseAppendAck: 0.04,
      loseWriteAck: 0.04,
      loseAnswer: 0.04,
      loseDeliveryAck: 0.03,
      forgetDeliveryAck: 0.02,
    }),
  );
  const instances = [start(world, lifecycle), start(world, lifecycle)];
  const [ending, calm] = [new AbortController(), new AbortController()];
  const whileWild = (chance: number): boolean => !calm.signal.aborted && isLucky(world, chance);
  const hosts = HOSTS.map((host) =>
    startHost(
      world.ports,
      {
        host,
        registersAfterMs: () => (whileWild(0.1) ? undefined : below(world, 2000)),
        diesAfterMs: () => (whileWild(0.2) ? below(world, 10_000) : undefined),
        refuses: () => (whileWild(0.1) ? 'HOST_LOW' : undefined),
        stopsAfterMs: () => below(world, 3000),
        reportsEnds: () => !whileWild(0.1),
      },
      ending.signal,
    ),
  );
  const names = Array.from({ length: policies }, (_, at) => `p${at}`);
  const life = async (): Promise<void> => {
    const disturbing = disturb(world, { instances, hosts }, rounds);
    for (const name of names) {
      const request = { ...applyRequest(name, configOf(world)), requestId: world.ids.ulid() };
      await ask(world, 'apply', request);
      await pause(world, 1000);
    }
    await meddle(world, names, rounds);
    await disturbing;
    calm.abort();
    do await world.clock.sleep(2000);
    while (!(await isSettled(world, hosts, names)));
  };
  const faults: string[] = [];
  try {
    await drive(world, life(), 30 * 60_000);
  } catch (error) {
    faults.push(String(error));
    for (const name of names) {
      const state = await stateOf(world, name);
      faults.push(
        `${name} is ${state?.state} (wanted: ${wanted(state)}), alive: ${JSON.stringify(livesOf(hosts, name).filter(({ diedAt }) => diedAt === null))}`,
      );
    }
  }
  faults.push(...(await judge(world, hosts, names)));
  ending.abort();
  await drive(
    world,
    Promise.all([...instances.map((running) => running.stop()), ...hosts.map(({ done }) => done)]),
  );
  const record: string[] = [];
  for await (const { seq, storedAt, subject, headers } of world.ports.log('TRANSITIONS').replay())
    record.push(`${seq} ${storedAt} ${subject} ${headers['ce-type'] ?? ''}`);
  return { faults: [...faults, ...world.fatal.map(String)], record, reach: world.reach.counts() };
};

export const policySimulation: Simulation = { live: simulatePolicies, wanted: {} };
