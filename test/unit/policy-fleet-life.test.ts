// What a whole fleet of policies does over hours, in memory under a manual clock: a rolling update, a drain, a start of the service after
// nobody was there. Two instances of the lifecycle service, as in production.
import { expect, onTestFinished, test } from 'vitest';
import { createHostsService } from '#services/hosts/service.ts';
import { lifecycle } from '#services/lifecycle/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import { REPORT_EXAMPLES } from '#streams/generate-examples.ts';
import { decodePolicyEvent } from '#streams/policy-codec.ts';
import { managedAgentSchema } from '#streams/policy-views.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import { encodeReport } from '#streams/report-codec.ts';
import { aggregateFilter, aggregateSubject } from '#streams/subjects.ts';
import { BOUNDARY } from '#test/support/control-plane.ts';
import { applyPolicy, askPolicy, policyHistory } from '#test/support/policy-facts.ts';
import { unsettled } from '#test/support/policy-settled.ts';
import { moveHost, registerHosts } from '#test/support/register-hosts.ts';
import { startHost, type HostBehaviour } from '#test/support/scripted-host.ts';
import { createWorld, drive, start, type World } from '#test/support/simulated-world.ts';

const HOSTS = ['h1', 'h2'];
const NAMES = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'];

/** Two hosts that are known, each with this behaviour, and as many instances of the lifecycle service. */
const startFleet = async (behaviour: Omit<HostBehaviour, 'host'> = {}, config = {}) => {
  const world = createWorld(1, { hosts: HOSTS });
  const ending = new AbortController();
  const instances = [
    start(world, createHostsService({ version: '0.2.0' })),
    start(world, lifecycle, config),
    start(world, lifecycle, config),
  ];
  const hosts = HOSTS.map((host) => startHost(world.ports, { host, ...behaviour }, ending.signal));
  // Until they serve.
  await drive(world, world.clock.sleep(1000));
  await drive(world, registerHosts(world.ports, HOSTS));
  onTestFinished(async () => {
    ending.abort();
    await drive(
      world,
      Promise.all([...instances.map((one) => one.stop()), ...hosts.map(({ done }) => done)]),
    );
    expect(world.fatal).toEqual([]);
  });
  return { world, hosts, instances };
};
type Fleet = Awaited<ReturnType<typeof startFleet>>;

const settled = ({ world, hosts }: Fleet, names: readonly string[] = NAMES): Promise<void> =>
  drive(
    world,
    (async () => {
      do await world.clock.sleep(500);
      while ((await unsettled(world.ports, hosts, names)).length > 0);
    })(),
    600_000,
  );

const apply = ({ world }: Fleet, names: readonly string[], given: Readonly<Record<string, unknown>>) =>
  drive(
    world,
    (async () => void (await Promise.all(names.map((name) => applyPolicy(world.ports, name, given)))))(),
  );

/** Every transition of every policy, as they were stored. */
const allTransitions = async ({ ports }: World) => {
  const found: { readonly id: string; readonly seq: number; readonly event: PolicyEvent }[] = [];
  for await (const entry of ports.log('TRANSITIONS').replay({ subjects: [aggregateFilter('policy')] })) {
    const reading = decodePolicyEvent(entry);
    if (reading.kind === 'known')
      found.push({ id: reading.envelope.id, seq: entry.seq, event: reading.event });
  }
  return found;
};

test('LC-21 WK-62 the update of a host starts its agents anew once each is idle, two at a time, and leaves the other host alone', async () => {
  let version = '0.1.0';
  const busy = new Set(['p1']);
  const fleet = await startFleet({
    version: () => version,
    active: (agent) => (busy.has(agent) ? 1 : 0),
    stopsAfterMs: () => 1000,
    registersAfterMs: () => 3000,
  });
  const { world, hosts } = fleet;
  await apply(fleet, NAMES, { host: 'h1', restartOnUpdate: true });
  await apply(fleet, ['other'], { host: 'h2', restartOnUpdate: true });
  await apply(fleet, ['stays'], { host: 'h1', restartOnUpdate: false });
  const all = [...NAMES, 'other', 'stays'];
  await settled(fleet, all);
  const before = hosts.flatMap(({ lives }) => lives).length;
  version = '0.2.0';
  await drive(world, moveHost(world.ports, 'update', { host: 'h1', version, reason: 'new build' }));
  // Five of them are idle after a minute; the one at work is left alone for as long as it works.
  await drive(world, world.clock.sleep(300_000));
  const livesOf = (policy: string) =>
    hosts.flatMap(({ lives }) => lives.filter((life) => life.policy === policy));
  expect(NAMES.map((name) => livesOf(name).length)).toEqual([1, 2, 2, 2, 2, 2]);
  busy.clear();
  await drive(world, world.clock.sleep(120_000));
  await settled(fleet, all);
  expect(all.map((name) => livesOf(name).length)).toEqual([2, 2, 2, 2, 2, 2, 1, 1]);
  expect(hosts.flatMap(({ lives }) => lives)).toHaveLength(before + NAMES.length);
  let [down, most] = [0, 0];
  for (const { event } of await allTransitions(world)) {
    if (event.type === 'fleetlog.policy.stopping.v1') down += 1;
    if (event.type === 'fleetlog.policy.running.v1' && event.runnerVersion === '0.2.0') down -= 1;
    most = Math.max(most, down);
  }
  expect([down, most]).toEqual([0, 2]);
});

test('LC-18 an agent at its limit is stopped with the turn that reaches it, although its runner has yet to say that it rests', async () => {
  const busy = new Set<string>();
  const fleet = await startFleet({ active: (agent) => (busy.has(agent) ? 1 : 0) });
  const { world } = fleet;
  await apply(fleet, ['p1', 'p2'], { limits: { runs: 1, windowSeconds: 3600 } });
  await settled(fleet, ['p1', 'p2']);
  for (const agent of ['p1', 'p2']) busy.add(agent);
  const told = async (name: 'turn-started' | 'turn-finished'): Promise<void> => {
    for (const agent of ['p1', 'p2'])
      await world.ports.log('EVENTS').append(
        encodeReport(name, REPORT_EXAMPLES[name], {
          boundary: BOUNDARY,
          agent,
          id: `${agent}.${name}`,
          source: '/test',
          actor: `agent:${agent}`,
          timeMs: world.clock.now(),
        }),
      );
  };
  await drive(world, told('turn-started'));
  await drive(world, world.clock.sleep(20_000));
  await drive(world, told('turn-finished'));
  const stateOf = async (name: string) => (await policyHistory(world.ports, name)).at(-1)?.type;
  // One of them goes on saying so for a while: its word is believed, and looked at again.
  busy.delete('p1');
  await drive(world, world.clock.sleep(30_000));
  expect(await drive(world, stateOf('p1'))).toBe('fleetlog.policy.stopped.v1');
  busy.clear();
  await drive(world, world.clock.sleep(30_000));
  expect(await drive(world, stateOf('p2'))).toBe('fleetlog.policy.stopped.v1');
});

test('LC-05 a drained host keeps its agents until they end, and those are started elsewhere', async () => {
  const fleet = await startFleet();
  const { world, hosts } = fleet;
  const [h1, h2] = hosts;
  await apply(fleet, NAMES, { backoff: { scheduleSeconds: [1], jitter: 0 } });
  await settled(fleet);
  await drive(world, moveHost(world.ports, 'drain', { host: 'h1', reason: 'maintenance' }));
  const there = h1?.lives.filter(({ diedAt }) => diedAt === null) ?? [];
  expect(there.length).toBeGreaterThan(0);
  await drive(world, world.clock.sleep(60_000));
  expect(there.every(({ diedAt }) => diedAt === null)).toBe(true);
  for (const { spawnId } of there) await drive(world, h1?.kill(spawnId) ?? Promise.resolve());
  await settled(fleet);
  expect(h1?.lives.filter(({ diedAt }) => diedAt === null)).toEqual([]);
  expect(h2?.lives.filter(({ diedAt }) => diedAt === null)).toHaveLength(NAMES.length);
});

test('LC-01 WK-72 whoever begins looks at every policy once, and one that cannot be read holds up no other', async () => {
  const fleet = await startFleet();
  const { world, hosts, instances } = fleet;
  await apply(fleet, NAMES, { host: 'h1', limits: { restarts: 0 } });
  await settled(fleet);
  // Nobody is there while half of them die unseen and one record becomes unreadable.
  for (const instance of instances.splice(1)) instance.kill();
  const lives = hosts.flatMap((host) => host.lives.map((life) => ({ host, life })));
  const unreadable = aggregateSubject(BOUNDARY, 'policy', 'p6');
  await drive(
    world,
    (async () => {
      for (const { host, life } of lives.filter(({ life: { policy } }) =>
        ['p1', 'p3', 'p6'].includes(policy),
      ))
        await host.kill(life.spawnId);
      const headers = { 'ce-type': 'fleetlog.policy.nobody-knows.v9', 'ce-id': 'x', 'ce-specversion': '1.0' };
      await world.ports
        .log('TRANSITIONS')
        .append({ subject: unreadable, id: 'x', headers, body: jsonBytes({}) });
      await world.clock.sleep(60_000);
    })(),
  );
  instances.push(start(world, lifecycle), start(world, lifecycle));
  await settled(fleet, NAMES.slice(0, -1));
  const counts = NAMES.map(
    (name) => hosts.flatMap((host) => host.lives.filter(({ policy }) => policy === name)).length,
  );
  expect(counts).toEqual([2, 1, 2, 1, 1, 1]);
  // What cannot be read is said and parked; nothing else is wrong.
  expect(world.fatal.splice(0).filter((fault) => !String(fault).includes('policy.11.p6'))).toEqual([]);
});

test('LC-29 each change of state is one transition and one announcement, and each instruction names the one that it follows from', async () => {
  const fleet = await startFleet();
  const { world, hosts } = fleet;
  await apply(fleet, ['p1'], { backoff: { scheduleSeconds: [1], jitter: 0 } });
  await settled(fleet, ['p1']);
  await drive(
    world,
    hosts[0]?.lives[0] === undefined ? Promise.resolve() : hosts[0].kill(hosts[0].lives[0].spawnId),
  );
  await settled(fleet, ['p1']);
  expect(await drive(world, askPolicy(world.ports, 'p1', 'stop'))).toMatchObject({ outcome: 'ok' });
  await settled(fleet, ['p1']);
  const transitions = await allTransitions(world);
  expect(transitions.map(({ event }) => event.type.split('.')[2])).toEqual([
    'applied',
    'starting',
    'running',
    ...(hosts[0]?.lives.length === 0 ? [] : ['backoff', 'starting', 'running']),
    'stop-asked',
    'stopping',
    'stopped',
  ]);
  expect(await policyHistory(world.ports, 'p1')).toEqual(transitions.map(({ event }) => event));
  const followed: string[] = [];
  for await (const entry of world.ports.log('COMMANDS').replay()) {
    const reading = decodeInstruction(entry);
    const cause = transitions.find(({ id }) => id === entry.headers['Fleet-Causation']);
    if (reading.kind === 'known') followed.push(`${reading.name} after ${cause?.event.type.split('.')[2]}`);
  }
  expect(followed).toEqual([
    'agent-spawn after starting',
    ...(hosts[0]?.lives.length === 0 ? [] : ['agent-spawn after starting']),
    'agent-shutdown after stopping',
  ]);
  const shown = await world.ports.bucket('agents').get(viewKey(BOUNDARY, 'p1'));
  expect(managedAgentSchema.parse(parseJson(shown?.value ?? new Uint8Array()))).toMatchObject({
    state: 'stopped',
    desired: 'stopped',
    seq: transitions.at(-1)?.seq,
  });
});

test('LC-30 a broker that was away for longer than a word holds, in whose time nobody could speak, costs no agent its life', async () => {
  const fleet = await startFleet();
  const { world } = fleet;
  await apply(fleet, NAMES, {});
  await settled(fleet);
  world.broker.faults.goAway();
  await drive(world, world.clock.sleep(20_000));
  world.broker.faults.comeBack();
  await drive(world, world.clock.sleep(30_000));
  for (const name of NAMES) {
    const history = await drive(world, policyHistory(world.ports, name));
    expect(history.filter(({ type }) => type === 'fleetlog.policy.starting.v1')).toHaveLength(1);
  }
  // Whoever falls silent while everybody could speak is gone.
  const [first] = fleet.hosts;
  first?.crash();
  const gone = (first?.lives ?? []).map(({ policy }) => policy);
  await drive(world, world.clock.sleep(13_000));
  for (const name of gone)
    expect((await drive(world, policyHistory(world.ports, name))).map(({ type }) => type)).toContain(
      'fleetlog.policy.backoff.v1',
    );
  expect(gone.length).toBeGreaterThan(0);
});
