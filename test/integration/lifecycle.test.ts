// Two instances of the lifecycle service on a real broker, with scripted hosts: policies are applied, hosts told, runners registered, and
// what goes wrong is put right, once.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lifecycle } from '#services/lifecycle/service.ts';
import { runs } from '#services/runs/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { managedAgentSchema, policyViewSchema } from '#streams/policy-views.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import {
  applyPolicy,
  applyRequest,
  askPolicies,
  askPolicy,
  policyEvent,
  policyHistory,
} from '#test/support/policy-facts.ts';
import { shown } from '#test/support/run-facts.ts';
import { startHost, type HostBehaviour, type ScriptedHost } from '#test/support/scripted-host.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { typedSubject } from '#streams/subjects.ts';

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;
const ending = new AbortController();
const hosts: { readonly done: Promise<void> }[] = [];

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, ['alpha', 'wordy'], ['forge-1', 'forge-2', 'forge-3', 'forge-4', 'forge-5']);
  const services = [runs, lifecycle];
  one = await startControlPlane({ broker, services });
  two = await startControlPlane({ broker, services });
});

afterAll(async () => {
  ending.abort();
  await Promise.all(hosts.map(({ done }) => done));
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

const host = (behaviour: HostBehaviour): ScriptedHost => {
  const started = startHost(one.ports, behaviour, ending.signal);
  hosts.push(started);
  return started;
};
const quick = { scheduleSeconds: [1], jitter: 0 };
/** Without waits for a host: whether it was heard of before its policy was read is chance. */
const typesOf = async (policy: string): Promise<string[]> =>
  (await policyHistory(one.ports, policy))
    .map(({ type }) => type.replace(/^fleetlog\.policy\.|\.v1$/g, ''))
    .filter((type) => type !== 'waiting-for-host');

/** The nth turn that an agent is told to do. */
const firstWords = async (agent: string, nth: number): Promise<TurnInstruction> => {
  const found = new AbortController();
  const subjects = [typedSubject(BOUNDARY, 'cmd', agent, 'turn')];
  let count = 0;
  for await (const entry of one.ports
    .log('COMMANDS')
    .replay({ subjects, follow: true, signal: found.signal })) {
    const reading = decodeInstruction(entry);
    if (reading.kind !== 'known' || reading.name !== 'turn') continue;
    count += 1;
    if (count < nth) continue;
    found.abort();
    return reading.data;
  }
  throw new Error('the replay ended');
};

test('LC-06 LC-07 LC-25 LC-30 an always-on agent is started where it fits, once for two instances, and started again when it dies', async () => {
  const { ports } = one;
  const forge = host({ host: 'forge-1', labels: ['gpu'] });
  await applyPolicy(ports, 'alpha', {
    hostLabels: ['gpu'],
    provider: 'claude',
    programArguments: ['--x'],
    tags: ['t'],
    backoff: quick,
  });
  const starting = await policyEvent(ports, 'alpha', 'starting');
  const running = await policyEvent(ports, 'alpha', 'running');
  expect(running).toMatchObject({ spawnId: starting.spawnId, host: 'forge-1', agent: 'alpha' });
  expect(forge.taken).toMatchObject([
    {
      policy: 'alpha',
      spawnId: starting.spawnId,
      provider: 'claude',
      programArguments: ['--x'],
      tags: ['t'],
      reason: 'always-on',
      deadlineAt: starting.deadlineAt,
    },
  ]);
  await forge.kill(running.spawnId);
  expect(await policyEvent(ports, 'alpha', 'backoff')).toMatchObject({
    cause: 'exited',
    code: 'EXIT_137',
    failures: 1,
  });
  const again = await policyEvent(ports, 'alpha', 'running', 2);
  expect(again.spawnId).not.toBe(running.spawnId);
  const value = await shown(ports, { bucket: 'agents', key: viewKey(BOUNDARY, 'alpha') }, again.seq);
  expect(managedAgentSchema.parse(value)).toMatchObject({
    host: 'forge-1',
    spawnId: again.spawnId,
    crashes: 1,
    lastError: { code: 'EXIT_137' },
  });
  expect(await typesOf('alpha')).toEqual([
    'applied',
    'starting',
    'running',
    'backoff',
    'starting',
    'running',
  ]);
  expect(forge.lives).toHaveLength(2);
});

test('LC-09 LC-10 WK-66 a stop and a restart by a person are done by the host, and stand', async () => {
  const { ports } = one;
  const forge = host({ host: 'forge-2' });
  await applyPolicy(ports, 'beta', { host: 'forge-2' });
  const running = await policyEvent(ports, 'beta', 'running');
  await askPolicies(ports, 'restart', {
    policy: 'beta',
    requestId: '1',
    actor: 'user:test',
    reason: 'new key',
    idleMs: 0,
  });
  const second = await policyEvent(ports, 'beta', 'running', 2);
  await askPolicy(ports, 'beta', 'stop');
  await policyEvent(ports, 'beta', 'stopped', 2);
  expect(await typesOf('beta')).toEqual([
    'applied',
    'starting',
    'running',
    'restart-asked',
    'stopping',
    'stopped',
    'starting',
    'running',
    'stop-asked',
    'stopping',
    'stopped',
  ]);
  expect(forge.taken).toMatchObject([
    { spawnId: running.spawnId },
    { spawnId: running.spawnId, graceful: true, timeoutMs: 10_000, reason: 'operator' },
    { spawnId: second.spawnId, reason: 'restart' },
    { spawnId: second.spawnId, graceful: true },
  ]);
});

test('WK-68 a policy waits for its host, and is started when it comes; a host that goes takes its agents into backoff', async () => {
  const { ports } = one;
  await applyPolicy(ports, 'gamma', { host: 'forge-3', backoff: quick });
  expect(await policyEvent(ports, 'gamma', 'waiting-for-host')).toMatchObject({ code: 'HOST_UNKNOWN' });
  const forge = host({ host: 'forge-3' });
  await policyEvent(ports, 'gamma', 'running');
  forge.crash();
  expect(await policyEvent(ports, 'gamma', 'backoff')).toMatchObject({
    cause: 'vanished',
    code: 'AGENT_VANISHED',
  });
  expect(await policyEvent(ports, 'gamma', 'waiting-for-host', 2)).toMatchObject({ code: 'HOST_OFFLINE' });
  await forge.comeBack();
  await policyEvent(ports, 'gamma', 'running', 2);
}, 40_000);

test('WK-63 a start that is never heard of is given up by its deadline, and its host is told to kill it', async () => {
  const { ports } = one;
  const forge = host({ host: 'forge-4', registersAfterMs: () => undefined });
  await applyPolicy(ports, 'delta', {
    host: 'forge-4',
    startTimeoutSeconds: 1,
    backoff: { scheduleSeconds: [600] },
  });
  const { spawnId } = await policyEvent(ports, 'delta', 'starting');
  expect(await policyEvent(ports, 'delta', 'backoff')).toMatchObject({ cause: 'timed-out', spawnId });
  await expect.poll(() => forge.lives[0]?.diedAt).not.toBe(null);
  expect(forge.taken[1]).toMatchObject({ spawnId, graceful: false, timeoutMs: 0, reason: 'timed-out' });
});

test('LC-07 the prompt of a policy is the first run of its agent, once for each start', async () => {
  const { ports } = one;
  const forge = host({ host: 'forge-5' });
  await applyPolicy(ports, 'wordy', { host: 'forge-5', prompt: 'Look at the mail.', backoff: quick });
  const running = await policyEvent(ports, 'wordy', 'running');
  const first = await firstWords('wordy', 1);
  expect(first).toMatchObject({ agent: 'wordy', request: { prompt: 'Look at the mail.' } });
  await forge.kill(running.spawnId);
  await policyEvent(ports, 'wordy', 'running', 2);
  const second = await firstWords('wordy', 2);
  expect(second.runId).not.toBe(first.runId);
});

test('IM-28 IM-30 configurations are versions: shown with their history, written only by who has seen the newest', async () => {
  const { ports } = two;
  const off = { mode: 'on-demand' };
  const write = (given: Readonly<Record<string, unknown>>, expectedVersion: number | null) =>
    askPolicies(ports, 'apply', { ...applyRequest('eps', { ...off, ...given }), expectedVersion });
  expect(await write({}, 0)).toMatchObject({ outcome: 'ok', result: { version: 1, unchanged: false } });
  expect(await write({ keepAliveSeconds: 5 }, 1)).toMatchObject({ outcome: 'ok', result: { version: 2 } });
  expect(await write({ keepAliveSeconds: 6 }, 1)).toMatchObject({
    outcome: 'refused',
    code: 'POLICY_VERSION_CONFLICT',
  });
  const back = {
    policy: 'eps',
    requestId: 'r',
    actor: 'user:test',
    toVersion: 1,
    expectedVersion: 2,
    note: null,
  };
  expect(await askPolicies(ports, 'rollback', back)).toMatchObject({ outcome: 'ok', result: { version: 3 } });
  const { seq } = await policyEvent(ports, 'eps', 'applied', 3);
  const view = policyViewSchema.parse(
    await shown(ports, { bucket: 'policies', key: viewKey(BOUNDARY, 'eps') }, seq),
  );
  expect(
    view.versions.map(({ version, rolledBackTo, changed }) => [
      version,
      rolledBackTo,
      changed.includes('keepAliveSeconds'),
    ]),
  ).toEqual([
    [1, null, true],
    [2, null, true],
    [3, 1, true],
  ]);
  expect(
    await askPolicies(
      ports,
      'apply',
      applyRequest('zeta', { mode: 'scheduled', schedule: { cron: '99 * * * *' } }),
    ),
  ).toMatchObject({
    outcome: 'refused',
    code: 'POLICY_INVALID',
  });
  expect(await askPolicies(ports, 'apply', applyRequest('eta', { agent: 'eps' }))).toMatchObject({
    outcome: 'refused',
    code: 'POLICY_AGENT_TAKEN',
  });
});
