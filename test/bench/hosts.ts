// What hosts cost: from the append of a spawn until the log has the report that its process was started (floor: a bare spawn between two
// bare appends), 50 real runners started by one host, and 200 hosts that say that they are alive (floor: a request that is answered after a
// bare put). Memory is read from /proc: on Linux only.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { hostSurroundings } from '#services/host-surroundings.ts';
import { createHostsService } from '#services/hosts/service.ts';
import { runs } from '#services/runs/service.ts';
import { accountsOf } from '#streams/accounts.ts';
import { presenceKey } from '#streams/buckets.ts';
import { HOST_PRESENCE_EXAMPLE } from '#streams/generate-host-examples.ts';
import { HOST_REQUESTS } from '#streams/host-requests.ts';
import { agentRequestSubject, typedSubject } from '#streams/subjects.ts';
import { freshBroker, scratchDir } from '#test/support/broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import {
  HOST,
  hostFolders,
  hostReported,
  provisionHosts,
  shutDown,
  spawnAgent,
  startHost,
} from '#test/support/host-rig.ts';
import type { Bench } from './bench-world.ts';
import { fromPairs, type Figure } from './figure.ts';
import { median, percentile } from './measure.ts';

const RUNNERS = 50;
const HOSTS = 200;
const IDLE_MS = 5000;
const IDLE_RUNNER = new URL('../support/idle-runner.mjs', import.meta.url).pathname;
const agents = Array.from({ length: RUNNERS }, (_, at) => `agent-${at + 1}`);

const idle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, IDLE_MS));

const plain = (
  profile: SyncProfile,
  figure: string,
  { value, unit, rounds }: Pick<Figure, 'value' | 'unit' | 'rounds'>,
): Figure => ({
  bench: 'hosts',
  figure,
  value,
  unit,
  rounds,
  profile,
  floor: null,
  ratio: null,
  spread: null,
  target: null,
});

/** An order, the start of a process, a report: without anything around it. */
const bareSpawn = async (
  broker: { readonly url: string },
  config: string,
): Promise<() => Promise<number>> => {
  const connection = await connect({ servers: broker.url, user: 'control', pass: 'control' });
  const js = jetstream(connection);
  return async () => {
    const startedMs = performance.now();
    await js.publish(typedSubject(BOUNDARY, 'cmd', 'bare', 'agent-spawn'), '{}');
    const child = spawn(process.execPath, [IDLE_RUNNER], {
      env: { FLEETLOG_CONFIG: config },
      stdio: 'ignore',
      detached: true,
    });
    await once(child, 'spawn');
    await js.publish(typedSubject(BOUNDARY, 'evt', 'bare', 'spawn-started'), '{}');
    const tookMs = performance.now() - startedMs;
    child.kill('SIGKILL');
    await once(child, 'exit');
    return tookMs;
  };
};

const reactions: Bench['run'] = async ({ profile, rounds, emit }) => {
  await using broker = await freshBroker({ sync: profile });
  await provisionHosts(broker);
  await using control = await startControlPlane({ broker, services: [createHostsService({ version: 'b' })] });
  await using host = await startHost({ broker, folders: hostFolders(['calm']), config: { onStop: 'end' } });
  const config = join(scratchDir('bench-bare'), 'config.json');
  writeFileSync(config, JSON.stringify({ runner: { agent: 'calm' } }));
  const bare = await bareSpawn(broker, config);
  const ours: number[] = [];
  const floor: number[] = [];
  for (let round = 0; round < rounds * 3 + 2; round += 1) {
    floor.push(await bare());
    const startedMs = performance.now();
    const order = await spawnAgent(control.ports, 'calm');
    await hostReported(control.ports, 'spawn-started', order.spawnId);
    ours.push(performance.now() - startedMs);
    await shutDown(control.ports, order, { graceful: false });
    await hostReported(control.ports, 'agent-exited', order.spawnId);
  }
  const named = {
    bench: 'hosts',
    figure: 'order to report of a start',
    unit: 'ms',
    target: null,
    profile,
  } as const;
  emit(fromPairs(named, { ours: ours.slice(2), floor: floor.slice(2) }));
  if (host.fatal.length > 0) throw host.fatal[0];
};

const pssMb = (pid: number): number =>
  Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024;

/** Resolves when the runner of every agent has announced itself. */
const announced = async (control: ControlPlane): Promise<void> => {
  const missing = new Set(agents.map((agent) => presenceKey(BOUNDARY, agent)));
  const found = new AbortController();
  for await (const event of control.ports.bucket('presence').watch({ signal: found.signal })) {
    if (event.kind === 'put') missing.delete(event.entry.key);
    if (missing.size === 0) found.abort();
  }
};

const manyRunners: Bench['run'] = async ({ profile, emit }) => {
  if (profile !== 'relaxed' || !existsSync('/proc/self/smaps_rollup')) return;
  const passwords = Object.fromEntries(agents.map((agent) => [agent, 'secret']));
  const secrets = {
    systemPassword: 's',
    controlPassword: 'control',
    viewerPassword: 'v',
    runnerPasswords: passwords,
  };
  const accounts = accountsOf({ agents: agents.map((agent) => ({ ...BOUNDARY, agent })) }, secrets);
  await using broker = await freshBroker({ sync: profile, accounts });
  await provisionHosts(broker, undefined, { agents, ackWaitMs: 30_000 });
  await using control = await startControlPlane({
    broker,
    services: [runs, createHostsService({ version: 'b' })],
  });
  const folders = hostFolders(agents);
  mkdirSync(folders.workspaceRoot, { recursive: true });
  const { runnerProgram } = hostSurroundings();
  await using host = await startHost({
    broker,
    folders,
    runnerProgram,
    config: { onStop: 'end', capacity: RUNNERS },
  });
  const startedMs = performance.now();
  const there = announced(control);
  const orders = await Promise.all(agents.map((agent) => spawnAgent(control.ports, agent)));
  const started = await Promise.all(
    orders.map(({ spawnId }) => hostReported(control.ports, 'spawn-started', spawnId)),
  );
  const startMs = performance.now() - startedMs;
  await there;
  const thereMs = performance.now() - startedMs;
  await idle();
  const memory = median(started.map(({ pid }) => pssMb(pid)));
  const cpu = process.cpuUsage();
  await idle();
  const { user, system } = process.cpuUsage(cpu);
  const rounds = RUNNERS;
  emit(plain(profile, `${RUNNERS} runners: all started`, { value: startMs, unit: 'ms', rounds }));
  emit(plain(profile, `${RUNNERS} runners: all announced`, { value: thereMs, unit: 'ms', rounds }));
  emit(plain(profile, `one of ${RUNNERS} runners of a host, PSS`, { value: memory, unit: 'MB', rounds }));
  emit(
    plain(profile, `${RUNNERS} idle runners: processor time of host and control plane in 1 s`, {
      value: (user + system) / 1000 / (IDLE_MS / 1000),
      unit: 'ms',
      rounds: 1,
    }),
  );
  if (host.fatal.length > 0) throw host.fatal[0];
};

const manyHosts: Bench['run'] = async ({ profile, emit }) => {
  await using broker = await freshBroker({ sync: profile });
  await provisionHosts(broker, []);
  await using control = await startControlPlane({ broker, services: [createHostsService({ version: 'b' })] });
  const { host: _host, seenAt: _seenAt, ...word } = HOST_PRESENCE_EXAMPLE;
  const { client } = control.ports.requests;
  const announce = (at: number): Promise<unknown> =>
    askRequest(client, {
      subject: agentRequestSubject({ ...BOUNDARY, agent: `${HOST}-${at}` }, 'hosts', 'announce'),
      request: { ...word, journalId: `j${at}`, bootId: `b${at}`, ttlMs: 600_000 },
      answer: HOST_REQUESTS.announce.answer,
      timeoutMs: 30_000,
    });
  const all = Array.from({ length: HOSTS }, (_, at) => at);
  const startedMs = performance.now();
  await Promise.all(all.map((at) => announce(at)));
  const registeredMs = performance.now() - startedMs;
  const bucket = control.ports.bucket('presence');
  const ours: number[] = [];
  const floor: number[] = [];
  const cpu = process.cpuUsage();
  for (const at of all) {
    const before = performance.now();
    await announce(at);
    ours.push(performance.now() - before);
  }
  const { user, system } = process.cpuUsage(cpu);
  const value = new TextEncoder().encode(JSON.stringify(word));
  for (const at of all) {
    const before = performance.now();
    await bucket.put(`local.main.bench.${at}`, value, { ttlMs: 600_000 });
    floor.push(performance.now() - before);
  }
  emit(
    plain(profile, `${HOSTS} hosts: all registered and online`, {
      value: registeredMs,
      unit: 'ms',
      rounds: 1,
    }),
  );
  const named = {
    bench: 'hosts',
    figure: 'announcement of a host',
    unit: 'ms',
    target: null,
    profile,
  } as const;
  emit(fromPairs(named, { ours, floor }));
  emit(
    plain(profile, 'announcement of a host, p99', {
      value: percentile(ours, 0.99),
      unit: 'ms',
      rounds: HOSTS,
    }),
  );
  emit(
    plain(profile, `${HOSTS} hosts every 5 s: processor time in 1 s`, {
      value: (user + system) / 1000 / 5,
      unit: 'ms',
      rounds: HOSTS,
    }),
  );
};

export const hostsBench: Bench = {
  name: 'hosts',
  run: async (context) => {
    await reactions(context);
    await manyHosts(context);
    await manyRunners(context);
  },
};
