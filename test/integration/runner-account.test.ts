// A real runner under its own broker user, in the account of the runners: the least rights are enough for all that it does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runs } from '#services/runs/service.ts';
import { accountsOf, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { decodeDeadLetter } from '#streams/dead-letters.ts';
import { jsonBytes } from '#streams/entry.ts';
import { typedSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  reported,
  reportsOf,
  runnerFolders,
  script,
  startRunner,
} from '#test/support/runner-rig.ts';
import { ask } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;

beforeAll(async () => {
  const accounts = accountsOf(
    { agents: [{ ...BOUNDARY, agent: AGENT }] },
    {
      systemPassword: 'system',
      controlPassword: 'control',
      viewerPassword: 'viewer',
      runnerPasswords: { [AGENT]: 'secret' },
    },
  );
  broker = await freshBroker({ accounts });
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  runner = await startRunner({
    broker: { ...broker, user: runnerUser(AGENT), password: 'secret' },
    folders: runnerFolders(),
    inboxPrefix: runnerInboxPrefix(AGENT),
  });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

test('it does a run, reports many things at once, and sends a large body', async () => {
  const steps = Array.from({ length: 40 }, (_, at) => ({ shell: `echo ${at}` }));
  const big = { shell: "yes 'long line of output' | head -n 20000" };
  const request = script(...steps, big, { say: 'ü'.repeat(150_000) });
  const runId = await createRun(control.ports, { request: { ...request, turnTimeoutMs: 60_000 } });
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  const reports = await reportsOf(control.ports, runId);
  expect(reports.filter(({ name }) => name === 'tool-finished')).toHaveLength(41);
  expect(reports.some(({ entry }) => entry.headers['ce-dataref'] !== undefined)).toBe(true);
});

test('it is cancelled', async () => {
  const runId = await createRun(control.ports, { request: script({ say: 'hm' }, { sleepMs: 600_000 }) });
  await reported(control.ports, runId, ({ name }) => name === 'text');
  await ask(control.ports, 'cancel', { runId, reason: 'stop', actor: 'user:test' });
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.cancelled.v1' });
});

test('an instruction that it cannot read becomes a dead letter under its own name, and the next one is done', async () => {
  const subject = typedSubject(BOUNDARY, 'cmd', AGENT, 'turn');
  await control.ports
    .log('COMMANDS')
    .append({ subject, id: 'nonsense', headers: {}, body: jsonBytes({ no: 1 }) });
  const runId = await createRun(control.ports, { request: script({ say: 'fine' }) });
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  const found = new AbortController();
  for await (const entry of control.ports.log('DEADLETTERS').replay({ follow: true, signal: found.signal })) {
    expect(decodeDeadLetter(entry)).toMatchObject({ kind: 'known' });
    expect(entry.subject).toContain(`.${runnerUser(AGENT)}.`);
    found.abort();
  }
});
