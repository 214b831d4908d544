// Turns that do not go on, on a real broker: a silent one is nudged, interrupted, and its agent started anew; one that makes the same call
// again and again is found; one that waits for a person is only reported; and whoever is to know of a death is told once.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lifecycle } from '#services/lifecycle/service.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { systemIds } from '#libs/system/ids.ts';
import { viewKey } from '#streams/buckets.ts';
import { makeId } from '#streams/ids.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import type { MailData } from '#streams/mail.ts';
import { encodeHostEvent } from '#streams/host-codec.ts';
import { managedAgentSchema } from '#streams/policy-views.ts';
import { typedSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { applyPolicy, policyEvent, policyHistory } from '#test/support/policy-facts.ts';
import { shown } from '#test/support/run-facts.ts';
import { startHost, type ScriptedHost } from '#test/support/scripted-host.ts';
import {
  ask,
  claimTurn,
  transition,
  turnInstruction,
  type ScriptedTurn,
} from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;
let forge: ScriptedHost & { readonly done: Promise<void> };
const ending = new AbortController();

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, [], ['forge-1']);
  // Two of everything: what follows is done once.
  one = await startControlPlane({ broker, services: [runs, mail, lifecycle] });
  two = await startControlPlane({ broker, services: [runs, mail, lifecycle] });
  forge = startHost(one.ports, { host: 'forge-1' }, ending.signal);
});
afterAll(async () => {
  expect([...one.fatal, ...two.fatal]).toEqual([]);
  ending.abort();
  await forge.done;
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

/** A run of the agent whose turn has begun. */
const beginTurn = async (agent: string): Promise<ScriptedTurn & { readonly runId: string }> => {
  const { ports } = one;
  const runId = makeId('run', systemIds.ulid());
  const created = await ask(ports, 'create', {
    runId,
    sessionId: makeId('session', systemIds.ulid()),
    mayOpenSession: true,
    agent,
    provider: 'exec',
    title: null,
    request: { prompt: 'Work.', turnTimeoutMs: 600_000 },
    replay: 'fail',
    maxAttempts: 1,
    leaseMs: 60_000,
    actor: 'user:test',
  });
  expect(created.outcome).toBe('ok');
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  await turn.started();
  await transition(ports, runId, 'fleetlog.run.turn-started.v1');
  return { ...turn, runId };
};

/** What is in a mailbox. */
const mailbox = async (name: string): Promise<MailData<'sent'>[]> => {
  const found: MailData<'sent'>[] = [];
  const subject = typedSubject(BOUNDARY, 'msg', name, 'sent');
  for await (const entry of one.ports.log('MESSAGES').read(subject)) {
    const reading = decodeMail(entry);
    if (reading.kind === 'known' && reading.name === 'sent') found.push(reading.data);
  }
  return found;
};

test('IM-06 IM-09 IM-10 a silent turn is nudged, interrupted and its agent started anew, each once with its evidence', async () => {
  const { ports } = one;
  await applyPolicy(ports, 'mute', { host: 'forge-1', health: { stuckAfterSeconds: 1 } });
  const running = await policyEvent(ports, 'mute', 'running');
  const { runId, turnId } = await beginTurn('mute');
  const nudged = await policyEvent(ports, 'mute', 'stuck', 1);
  expect(nudged).toMatchObject({ step: 'nudge', evidence: { kind: 'silent', runId, turnId } });
  expect(nudged.decidedAt - nudged.evidence.sinceAt).toBeGreaterThanOrEqual(1000);
  const seen = managedAgentSchema.parse(
    await shown(ports, { bucket: 'agents', key: viewKey(BOUNDARY, 'mute') }, nudged.seq),
  );
  expect(seen.state).toBe('running');
  expect(await policyEvent(ports, 'mute', 'stuck', 2)).toMatchObject({
    step: 'interrupt',
    evidence: { turnId },
  });
  const command = await transition(ports, runId, 'fleetlog.run.command-created.v1');
  expect(command).toMatchObject({ commandType: 'interrupt' });
  expect(await policyEvent(ports, 'mute', 'stopping')).toMatchObject({
    cause: 'stuck',
    isRestart: true,
    evidence: { kind: 'silent', turnId },
  });
  const again = await policyEvent(ports, 'mute', 'running', 2);
  expect(again.spawnId).not.toBe(running.spawnId);
  expect(await mailbox('mute')).toMatchObject([{ kind: 'nudge', from: 'fleetlog' }]);
  const steps = (await policyHistory(ports, 'mute')).filter(
    ({ type }) => type === 'fleetlog.policy.stuck.v1',
  );
  expect(steps).toHaveLength(2);
}, 30_000);

test('IM-09 the same call again and again is a loop, and the steps end when the turn does', async () => {
  const { ports } = one;
  await applyPolicy(ports, 'looper', { host: 'forge-1', health: { sameCalls: 3, stuckAfterSeconds: 3 } });
  await policyEvent(ports, 'looper', 'running');
  const turn = await beginTurn('looper');
  const about = { runId: turn.runId, sessionId: makeId('session', systemIds.ulid()), turnId: turn.turnId };
  for (const input of ['a', 'b', 'b', 'b'])
    await turn.report('tool-started', { ...about, callId: input, name: 'Read', input: { path: input } });
  const found = await policyEvent(ports, 'looper', 'stuck');
  expect(found).toMatchObject({ step: 'nudge', evidence: { kind: 'looping', turnId: turn.turnId } });
  expect(found.evidence.detail).toContain('Read with the same input 3 times');
  await turn.finished();
  expect(await policyEvent(ports, 'looper', 'unstuck')).toMatchObject({ turnId: turn.turnId });
}, 30_000);

test('IM-10 a turn that waits for a person is reported once and not touched', async () => {
  const { ports } = one;
  await applyPolicy(ports, 'asker', { host: 'forge-1', health: { stuckAfterSeconds: 1 } });
  await policyEvent(ports, 'asker', 'running');
  const turn = await beginTurn('asker');
  await turn.wants('held');
  const reported = await policyEvent(ports, 'asker', 'stuck');
  expect(reported).toMatchObject({ step: 'report', evidence: { kind: 'waiting', turnId: turn.turnId } });
  await turn.finished();
  await policyEvent(ports, 'asker', 'unstuck');
  const types = (await policyHistory(ports, 'asker')).map(({ type }) => type);
  expect(types.filter((type) => /stuck|stopping/.test(type))).toEqual([
    'fleetlog.policy.stuck.v1',
    'fleetlog.policy.unstuck.v1',
  ]);
  expect(await mailbox('asker')).toEqual([]);
}, 30_000);

test('IM-09 whoever a policy names is told once that its agent has died', async () => {
  const { ports } = one;
  await applyPolicy(ports, 'mortal', {
    host: 'forge-1',
    notify: 'user',
    backoff: { scheduleSeconds: [1], jitter: 0 },
  });
  const { spawnId } = await policyEvent(ports, 'mortal', 'running');
  await forge.kill(spawnId);
  const second = await policyEvent(ports, 'mortal', 'running', 2);
  await forge.kill(second.spawnId);
  await policyEvent(ports, 'mortal', 'running', 3);
  await expect.poll(async () => (await mailbox('user')).length).toBeGreaterThanOrEqual(2);
  const told = await mailbox('user');
  expect(told).toMatchObject([
    { kind: 'notice', from: 'fleetlog', subject: 'Agent of policy mortal has died' },
    { kind: 'notice', from: 'fleetlog' },
  ]);
  expect(new Set(told.map(({ messageId }) => messageId)).size).toBe(2);
}, 30_000);

test('LC-21 WK-62 the update of a host is put on record once for each agent there whose policy wants it', async () => {
  const { ports } = one;
  for (const [name, restartOnUpdate] of [
    ['as-is', false],
    ['fresh', true],
    ['fresh-2', true],
  ] as const) {
    await applyPolicy(ports, name, { host: 'forge-1', restartOnUpdate });
    const { seq } = await policyEvent(ports, name, 'running');
    await shown(ports, { bucket: 'agents', key: viewKey(BOUNDARY, name) }, seq);
  }
  const at = ports.clock.now();
  const update = {
    type: 'fleetlog.host.update-requested.v1',
    host: 'forge-1',
    version: '0.2.0',
    reason: 'new version',
    requestedAt: at,
  } as const;
  const entry = encodeHostEvent(update, {
    boundary: BOUNDARY,
    id: systemIds.ulid(),
    source: '/service/hosts',
    timeMs: at,
    actor: 'user:test',
    correlation: 'forge-1',
  });
  await ports.log('TRANSITIONS').append(entry);
  for (const name of ['fresh', 'fresh-2'])
    expect(await policyEvent(ports, name, 'restart-asked')).toMatchObject({
      cause: 'restart-on-update',
      idleMs: 60_000,
      reason: 'forge-1 was updated to 0.2.0: new version',
    });
  const asked = async (name: string) =>
    (await policyHistory(ports, name)).filter(({ type }) => type === 'fleetlog.policy.restart-asked.v1')
      .length;
  expect([await asked('as-is'), await asked('fresh'), await asked('fresh-2')]).toEqual([0, 1, 1]);
}, 30_000);
