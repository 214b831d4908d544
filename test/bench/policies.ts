// What managed agents cost: from the report of an end until the transition that follows is on the log (floor: a bare consumer that appends
// one entry for each), 10,000 policies applied at once and started on 200 hosts at the stated rate, the lifecycle service when nothing
// happens and per word of a runner, and how long the agents of a host that is gone go unnoticed. The service is a process of its own.
import { readFileSync } from 'node:fs';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { gateway } from '#services/gateway/service.ts';
import { HOST_PRESENCE_EXAMPLE } from '#streams/generate-host-examples.ts';
import type { FreshBroker } from '#test/support/broker.ts';
import { applyPolicy } from '#test/support/policy-facts.ts';
import type { Bench } from './bench-world.ts';
import { startManyHosts } from './many-hosts.ts';
import { reconcileOne } from './policy-reconcile.ts';
import { cpuMs, emitter, idle, openPolicyWorld, startLifecycle, watchTransitions } from './policy-world.ts';

const COUNT = 10_000;
const HOSTS = 200;
const RATE = 250;
const IDLE_MS = 10_000;
const BEATS = 2000;
const TTL_MS = 3000;
/** As short as all can register in: the timers of starts ring once it is over, and nothing is idle before. */
const START_S = 30;

const post = async (url: string, body: unknown): Promise<void> => {
  const response = await fetch(`${url}/api/v1/policies`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
  await response.arrayBuffer();
};

/** As `fleetlog policy apply` does. */
const applyAll = async (url: string, names: readonly string[]): Promise<void> => {
  for (let at = 0; at < names.length; at += 25) {
    const chunk = names.slice(at, at + 25);
    await post(url, {
      policies: Object.fromEntries(
        chunk.map((name) => [name, { mode: 'always-on', startTimeoutSeconds: START_S }]),
      ),
    });
  }
};

/** As many bare appends, 16 at once. */
const bareAppends = async (broker: FreshBroker, count: number): Promise<number> => {
  const connection = await connect({ servers: broker.url, user: 'control', pass: 'control' });
  const js = jetstream(connection);
  const body = JSON.stringify(HOST_PRESENCE_EXAMPLE).repeat(2);
  const startedMs = performance.now();
  for (let at = 0; at < count; at += 16)
    await Promise.all(
      Array.from({ length: 16 }, (_none, one) =>
        js.publish(`fleet.local.main.config.1.bare-${at + one}`, body),
      ),
    );
  const tookMs = performance.now() - startedMs;
  await connection.close();
  return tookMs;
};

/** Resolves when no timer waits any more. */
const timersHaveRung = async (broker: FreshBroker): Promise<void> => {
  const connection = await connect({ servers: broker.url, user: 'control', pass: 'control' });
  const { streams } = await jetstreamManager(connection);
  for (;;) {
    const { state } = await streams.info('TIMERS', { subjects_filter: 'fleet.*.*.timer.set.>' });
    if (Object.keys(state.subjects ?? {}).length === 0) break;
    await idle(1000);
  }
  await connection.close();
};

const manyPolicies: Bench['run'] = async (context) => {
  const { profile } = context;
  if (profile !== 'relaxed') return;
  const say = emitter(context);
  const hosts = Array.from({ length: HOSTS }, (_none, at) => `host-${at}`);
  await using world = await openPolicyWorld(profile, hosts, {
    services: [gateway],
    config: { gateway: { port: 0 } },
  });
  const { broker, control, ports } = world;
  await using many = await startManyHosts(ports, {
    hosts,
    capacity: 60,
    everyMs: 5000,
    hostTtlMs: 600_000,
    runnerTtlMs: 600_000,
  });
  const lifecycle = await startLifecycle(broker, { FLEETLOG_LIFECYCLE_STARTS_PER_SECOND: String(RATE) });
  const running = watchTransitions(ports, 'fleetlog.policy.running.v1');
  const names = Array.from({ length: COUNT }, (_none, at) => `agent-${at}`);
  const floor = await bareAppends(broker, COUNT);
  const startedMs = performance.now();
  await applyAll(control.url(), names);
  say({
    figure: `${COUNT} policies applied over HTTP`,
    value: performance.now() - startedMs,
    unit: 'ms',
    floor,
  });
  await running.reaches(COUNT);
  const atRate = (COUNT / RATE) * 1000;
  say({
    figure: `${COUNT} policies: all run, at ${RATE} starts a second`,
    value: performance.now() - startedMs,
    unit: 'ms',
    floor: atRate,
  });
  await timersHaveRung(broker);
  // What was made for so many starts is put away, and the processor time of that is none of idleness.
  await idle(15_000);
  const before = cpuMs(lifecycle.pid);
  await idle(IDLE_MS);
  const idleCpu = cpuMs(lifecycle.pid) - before;
  say({
    figure: `${COUNT} idle policies on ${HOSTS} hosts: processor time of lifecycle in 1 s`,
    value: idleCpu / (IDLE_MS / 1000),
    unit: 'ms',
    target: { of: 'value', is: '<=', limit: 10 },
  });
  const beforeBeats = cpuMs(lifecycle.pid);
  const beats = many.taken.slice(0, BEATS);
  for (let at = 0; at < beats.length; at += 50)
    await Promise.all(beats.slice(at, at + 50).map((one) => many.beat(one)));
  await idle(1000);
  say({
    figure: '1,000 words of runners: processor time of lifecycle',
    value: ((cpuMs(lifecycle.pid) - beforeBeats) * 1000) / BEATS,
    unit: 'ms',
    rounds: BEATS,
  });
  const memory =
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${lifecycle.pid}/status`, 'utf8'))?.[1]) / 1024;
  say({ figure: `${COUNT} policies: memory of lifecycle`, value: memory, unit: 'MB' });
  lifecycle.kill('SIGKILL');
  await running.stop();
};

const hostGone: Bench['run'] = async (context) => {
  const { profile } = context;
  const say = emitter(context);
  await using world = await openPolicyWorld(profile, ['h1']);
  const { broker, ports } = world;
  await using many = await startManyHosts(ports, {
    hosts: ['h1'],
    capacity: 60,
    everyMs: 1000,
    hostTtlMs: TTL_MS,
    runnerTtlMs: TTL_MS,
  });
  const lifecycle = await startLifecycle(broker, { FLEETLOG_LIFECYCLE_STARTS_PER_SECOND: '1000' });
  const [running, backoffs] = ['running', 'backoff'].map((name) =>
    watchTransitions(ports, `fleetlog.policy.${name}.v1`),
  );
  for (let at = 0; at < 50; at += 1)
    await applyPolicy(ports, `p${at}`, { host: 'h1', limits: { restarts: 0 } });
  await running?.reaches(50);
  await many.stop();
  // The last word of everybody, and then no more.
  await many.announce();
  await Promise.all(many.taken.map((one) => many.beat(one)));
  const goneMs = performance.now();
  await backoffs?.reaches(50);
  say({
    figure: '50 agents of a host that is gone: all in backoff',
    value: performance.now() - goneMs,
    unit: 'ms',
    floor: TTL_MS,
    target: { of: 'ratio', is: '<=', limit: 2 },
  });
  await Promise.all([running?.stop(), backoffs?.stop()]);
  lifecycle.kill('SIGKILL');
};

export const policiesBench: Bench = {
  name: 'policies',
  run: async (context) => {
    await reconcileOne(context);
    await hostGone(context);
  },
};

/** Apart: it takes two minutes by itself. */
export const manyPoliciesBench: Bench = { name: 'many-policies', run: manyPolicies };
