// A host and the service that owns hosts on a real broker, with real processes as runners: it registers, starts, stops and reports what it
// is told, refuses with reasons, and is taken offline when it is not heard of.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawn as startProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { systemClock } from '#libs/system/clock.ts';
import { createHostsService } from '#services/hosts/service.ts';
import { parseJson } from '#streams/entry.ts';
import {
  hostPresenceKey,
  hostPresenceSchema,
  hostViewSchema,
  type HostPresence,
} from '#streams/host-views.ts';
import { HOST_REQUESTS, type HostOperation, type HostRequestOf } from '#streams/host-requests.ts';
import { agentRequestSubject, requestSubject } from '#streams/subjects.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import {
  HOST,
  hostFolders,
  hostReported,
  hostReports,
  provisionHosts,
  shutDown,
  spawnAgent,
  startHost,
  type HostFolders,
} from '#test/support/host-rig.ts';

const AGENTS = ['calm', 'stubborn', 'brief', 'parent', 'late', 'one', 'two', 'three'];

let broker: FreshBroker;
let control: ControlPlane;
let folders: HostFolders;
let host: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provisionHosts(broker);
  control = await startControlPlane({ broker, services: [createHostsService({ version: '9.9.9' })] });
  folders = hostFolders(AGENTS);
  host = await startHost({ broker, folders, config: { onStop: 'end', labels: ['gpu'], capacity: 6 } });
});
afterAll(async () => {
  await host.stop();
  expect(host.fatal).toEqual([]);
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const ask = <Op extends HostOperation>(operation: Op, request: HostRequestOf<Op>) =>
  askRequest(control.ports.requests.client, {
    subject: requestSubject(BOUNDARY, 'hosts', operation),
    request,
    answer: HOST_REQUESTS[operation].answer,
    timeoutMs: 5000,
  });

/** The first value of a key that fits. */
const value = async <Value>(
  bucket: string,
  key: string,
  { parse, fits }: { readonly parse: (json: unknown) => Value; readonly fits: (value: Value) => boolean },
): Promise<Value> => {
  const found = new AbortController();
  for await (const event of control.ports.bucket(bucket).watch({ keys: [key], signal: found.signal })) {
    if (event.kind !== 'put') continue;
    const read = parse(parseJson(event.entry.value));
    if (!fits(read)) continue;
    found.abort();
    return read;
  }
  throw new Error('the watch ended');
};
const presence = (fits: (value: HostPresence) => boolean): Promise<HostPresence> =>
  value('presence', hostPresenceKey(BOUNDARY, HOST), {
    parse: (json) => hostPresenceSchema.parse(json),
    fits,
  });
const summary = (fits: (value: { readonly state: string }) => boolean, name = HOST) =>
  value('hosts', `local.main.${name}`, { parse: (json) => hostViewSchema.parse(json), fits });

/** The runner of an agent has come to its own code: from now on it hears what it is told. */
const awake = (agent: string, spawnId: string): Promise<void> =>
  expect
    .poll(() => readFileSync(join(folders.dataDir, 'runners', agent, 'runner.log'), 'utf8'), {
      timeout: 20_000,
    })
    .toContain(spawnId);

test('IM-33 a host registers with what it is, goes online, and says how its machine stands', async () => {
  await expect(summary(({ state }) => state === 'online')).resolves.toMatchObject({
    labels: ['gpu'],
    capacity: 6,
    platform: `${process.platform}-${process.arch}`,
  });
  const said = await presence(() => true);
  expect(said.freeMemoryBytes).toBeGreaterThan(0);
  expect(said.freeDiskBytes).toBeGreaterThan(0);
  expect(said.providers).toContain('exec');
});

test('LC-07 LC-10 an agent is started once, shown, and ended in order with all that it has started', async () => {
  const spawn = await spawnAgent(control.ports, 'parent');
  const { pid } = await hostReported(control.ports, 'spawn-started', spawn.spawnId);
  await expect(presence(({ runners }) => runners.length === 1)).resolves.toMatchObject({
    runners: [{ spawnId: spawn.spawnId, policy: spawn.policy, agent: 'parent', pid, state: 'running' }],
  });
  const config: unknown = JSON.parse(
    readFileSync(join(folders.dataDir, 'runners/parent/config.json'), 'utf8'),
  );
  expect(config).toMatchObject({
    nats: { user: 'runner-parent' },
    runner: { agent: 'parent', spawnId: spawn.spawnId, host: HOST },
  });
  await awake('parent', spawn.spawnId);
  await shutDown(control.ports, spawn);
  await expect(hostReported(control.ports, 'agent-exited', spawn.spawnId)).resolves.toMatchObject({
    pid,
    exitCode: 0,
    signal: null,
    wasAsked: true,
    wasForced: false,
  });
  expect(await findMarked(`FLEETLOG_SPAWN=${spawn.spawnId}`)).toEqual([]);
  await presence(({ runners }) => runners.length === 0);
});

test('WK-63 one that does not go by itself is killed after its time, and one that ends by itself is reported with its last words', async () => {
  const stubborn = await spawnAgent(control.ports, 'stubborn');
  const brief = await spawnAgent(control.ports, 'brief');
  await hostReported(control.ports, 'spawn-started', stubborn.spawnId);
  await awake('stubborn', stubborn.spawnId);
  await shutDown(control.ports, stubborn, { timeoutMs: 300 });
  await expect(hostReported(control.ports, 'agent-exited', stubborn.spawnId)).resolves.toMatchObject({
    signal: 'SIGKILL',
    wasAsked: true,
    wasForced: true,
  });
  await expect(hostReported(control.ports, 'agent-exited', brief.spawnId)).resolves.toMatchObject({
    exitCode: 3,
    wasAsked: false,
    lastWords: expect.stringContaining('the disk of this agent is gone') as string,
  });
});

test('WK-75 what comes after its deadline is not done, and is reported so; so is what has no password', async () => {
  const before = systemClock.now() - 1000;
  const late = await spawnAgent(control.ports, 'late', { deadlineAt: before });
  await expect(hostReported(control.ports, 'spawn-refused', late.spawnId)).resolves.toMatchObject({
    code: 'COMMAND_EXPIRED',
  });
  const unknown = await spawnAgent(control.ports, 'nobody');
  await expect(hostReported(control.ports, 'spawn-refused', unknown.spawnId)).resolves.toMatchObject({
    code: 'CREDENTIAL_MISSING',
    message: expect.stringContaining('fleetlog agent add nobody') as string,
  });
  const odd = await spawnAgent(control.ports, 'late', { settings: { dataDir: '/tmp' } });
  await expect(hostReported(control.ports, 'spawn-refused', odd.spawnId)).resolves.toMatchObject({
    code: 'SETTING_REFUSED',
  });
});

test('a shutdown that comes before its spawn wins: the spawn is not done', async () => {
  const spawn = {
    ...(await spawnAgent(control.ports, 'nobody')),
    agent: 'one',
    spawnId: 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J8',
  };
  await shutDown(control.ports, spawn);
  await expect(hostReported(control.ports, 'spawn-refused', spawn.spawnId)).resolves.toMatchObject({
    code: 'SPAWN_UNKNOWN',
  });
  await spawnAgent(control.ports, 'one', { spawnId: spawn.spawnId });
  const next = await spawnAgent(control.ports, 'two');
  await hostReported(control.ports, 'spawn-started', next.spawnId);
  const { reports } = await hostReports(control.ports);
  expect(reports.filter(({ data }) => data.spawnId === spawn.spawnId)).toHaveLength(1);
  await shutDown(control.ports, next);
  await hostReported(control.ports, 'agent-exited', next.spawnId);
});

test('LC-05 a drained host takes nothing new and keeps what it has, and takes the first start after it is undrained', async () => {
  const kept = await spawnAgent(control.ports, 'calm');
  await hostReported(control.ports, 'spawn-started', kept.spawnId);
  await expect(ask('drain', { host: HOST, reason: 'new memory', actor: 'user:anna' })).resolves.toMatchObject(
    {
      result: { state: 'draining', repeated: false },
    },
  );
  await expect(ask('drain', { host: HOST, reason: 'again', actor: 'user:anna' })).resolves.toMatchObject({
    result: { repeated: true },
  });
  const said = await presence(() => true);
  await presence(({ seenAt }) => seenAt > said.seenAt);
  const refused = await spawnAgent(control.ports, 'three');
  await expect(hostReported(control.ports, 'spawn-refused', refused.spawnId)).resolves.toMatchObject({
    code: 'HOST_DRAINING',
  });
  expect((await presence(() => true)).runners).toMatchObject([{ spawnId: kept.spawnId, state: 'running' }]);
  const second = await spawnAgent(control.ports, 'calm');
  await expect(hostReported(control.ports, 'spawn-refused', second.spawnId)).resolves.toMatchObject({
    code: 'AGENT_RUNNING',
  });
  await ask('undrain', { host: HOST, actor: 'user:anna' });
  // Told before the host has said its next word: it asks, rather than refuse by what it was told last.
  const first = await spawnAgent(control.ports, 'three');
  await hostReported(control.ports, 'spawn-started', first.spawnId);
  await shutDown(control.ports, first);
  await hostReported(control.ports, 'agent-exited', first.spawnId);
  await summary(({ state }) => state === 'online');
});

test('a host that was never there cannot be drained', async () => {
  await expect(ask('drain', { host: 'nowhere', reason: 'x', actor: 'user:anna' })).resolves.toMatchObject({
    outcome: 'refused',
    code: 'HOST_UNKNOWN',
  });
});

test('WK-71 a runner of this host that its journal does not know is ended and reported', async () => {
  const said = await presence(() => true);
  const folder = join(folders.dataDir, 'runners/foreign');
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'config.json');
  writeFileSync(config, JSON.stringify({ runner: { agent: 'foreign', spawnId: 'x' } }));
  const [mark] = (await findMarked(`FLEETLOG_SPAWN=${said.runners[0]?.spawnId}`)).map((pid) =>
    readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .find((one) => one.startsWith('FLEETLOG_HOSTED=')),
  );
  const spawnId = 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J9';
  const stray = startProcess(process.execPath, [join(import.meta.dirname, '../support/idle-runner.mjs')], {
    env: {
      FLEETLOG_CONFIG: config,
      FLEETLOG_SPAWN: spawnId,
      FLEETLOG_HOSTED: mark?.slice('FLEETLOG_HOSTED='.length),
    },
    detached: true,
    stdio: 'ignore',
  });
  // The next start of the host looks.
  await host.stop();
  expect(host.fatal).toEqual([]);
  host = await startHost({ broker, folders, config: { onStop: 'end' } });
  await expect(hostReported(control.ports, 'unknown-agent-stopped', spawnId)).resolves.toMatchObject({
    pid: stray.pid,
    spawnId,
  });
});

test('a host that falls silent is offline within twice the time of its presence, by one transition', async () => {
  const subject = agentRequestSubject({ ...BOUNDARY, agent: 'silent' }, 'hosts', 'announce');
  const { host: _host, seenAt: _seenAt, ...word } = await presence(() => true);
  const ttlMs = 2000;
  const request = { ...word, journalId: 'silent', runners: [], ttlMs };
  const { answer } = HOST_REQUESTS.announce;
  await expect(
    askRequest(control.ports.requests.client, { subject, request, answer, timeoutMs: 5000 }),
  ).resolves.toMatchObject({ result: { ttlMs, isDraining: false, version: '9.9.9' } });
  const heardAt = systemClock.now();
  await summary(({ state }) => state === 'online', 'silent');
  const second = { ...request, journalId: 'another machine' };
  await expect(
    askRequest(control.ports.requests.client, { subject, request: second, answer, timeoutMs: 5000 }),
  ).resolves.toMatchObject({ outcome: 'refused', code: 'HOST_ELSEWHERE' });
  await summary(({ state }) => state === 'offline', 'silent');
  expect(systemClock.now() - heardAt).toBeLessThan(2 * ttlMs);
  await expect(ask('retire', { host: 'silent', reason: 'sold', actor: 'user:anna' })).resolves.toMatchObject({
    result: { state: 'retired' },
  });
  await expect(
    askRequest(control.ports.requests.client, { subject, request, answer, timeoutMs: 5000 }),
  ).resolves.toMatchObject({ outcome: 'refused', code: 'HOST_RETIRED' });
});
