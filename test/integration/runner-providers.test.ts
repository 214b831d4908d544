// A runner with a program of its own kind of lines: it is found, announced, asked for its version, and its conversations are gone on
// with. The program only pretends to be Claude Code; the real ones are driven by `npm run test:providers`.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeId } from '#streams/ids.ts';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { presenceKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { pretendClaude } from '#test/support/pretend-claude.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  const PATH = `${pretendClaude(dirname(folders.dataDir))}:/usr/bin:/bin`;
  runner = await startRunner({
    broker,
    folders,
    environment: { PATH, ANTHROPIC_API_KEY: 'key-1', OPENAI_API_KEY: 'key-2' },
  });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const turn = async (sessionId: string, prompt: string) => {
  const runId = await createRun(control.ports, {
    provider: 'claude',
    sessionId,
    request: { prompt, turnTimeoutMs: 60_000 },
  });
  return { end: await ended(control.ports, runId), reports: await reportsOf(control.ports, runId) };
};

const asked = (sessionId: string): string[] =>
  readFileSync(join(folders.workspaceRoot, sessionId, 'asked.txt'), 'utf8')
    .trim()
    .split('\n');

test('ER-18 a run of a provider that its runner does not have fails and says so', async () => {
  const runId = await createRun(control.ports, { provider: 'codex' });
  expect(await ended(control.ports, runId)).toMatchObject({
    type: 'fleetlog.run.failed.v1',
    failure: {
      kind: 'infra-failed',
      message: 'this runner has no provider codex: there is no codex on the PATH',
    },
  });
});

test('a run of a provider with a program of its own cannot name another', async () => {
  const request = { prompt: 'p', program: ['sh'], turnTimeoutMs: 60_000 };
  const runId = await createRun(control.ports, { provider: 'claude', request });
  expect(await ended(control.ports, runId)).toMatchObject({
    failure: { kind: 'infra-failed', message: /cannot name a program/ },
  });
});

test('TR-22 a conversation is told, kept, and gone on with by the next turn; its cost counter gives what the turn cost', async () => {
  const sessionId = makeId('session', systemIds.ulid());
  const first = await turn(sessionId, 'one');
  expect(first.end).toMatchObject({ result: { summary: 'did one', usage: { costMicroUsd: 10_000 } } });
  expect(first.reports[0]).toMatchObject({ name: 'turn-started', data: { programVersion: '2.1.329' } });
  expect(first.reports[2]).toMatchObject({
    name: 'session-bound',
    data: { providerSessionId: 'conversation-one', requested: null },
  });
  const second = await turn(sessionId, 'two');
  expect(second.end).toMatchObject({ result: { usage: { costMicroUsd: 20_000 } } });
  expect(second.reports[0]).toMatchObject({
    data: { program: expect.arrayContaining(['--resume', 'conversation-one']) },
  });
  expect(second.reports[2]).toMatchObject({ name: 'session-bound', data: { requested: 'conversation-one' } });
});

test('TR-23 another conversation than was asked for is told as a fork, and the next turn goes on there', async () => {
  const sessionId = makeId('session', systemIds.ulid());
  await turn(sessionId, 'one');
  const forked = await turn(sessionId, 'fork');
  expect(forked.reports[2]).toMatchObject({
    name: 'session-forked',
    data: { providerSessionId: 'conversation-fork', requested: 'conversation-one' },
  });
  await turn(sessionId, 'three');
  expect(asked(sessionId)).toEqual(['null', 'conversation-one', 'conversation-fork']);
});

test('a conversation that the program does not know fails the turn, and the next one begins anew', async () => {
  const sessionId = makeId('session', systemIds.ulid());
  await turn(sessionId, 'one');
  const gone = await turn(sessionId, 'gone');
  expect(gone.end).toMatchObject({ failure: { kind: 'provider-failed', message: /No conversation found/ } });
  expect((await turn(sessionId, 'again')).end).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  expect(asked(sessionId)).toEqual(['null', 'conversation-one', 'null']);
});

test('a program gets its own key and no other', async () => {
  const { reports } = await turn(makeId('session', systemIds.ulid()), 'one');
  expect(reports.find(({ name }) => name === 'text')).toMatchObject({ data: { text: 'key key-1' } });
});

test('TR-05 two turns of a session never overlap, whatever their workspaces', async () => {
  const sessionId = makeId('session', systemIds.ulid());
  const runIds = await Promise.all(
    ['one', 'two', 'three'].map((workspace) =>
      createRun(control.ports, {
        provider: 'claude',
        sessionId,
        request: { prompt: 'same', workspace, turnTimeoutMs: 60_000 },
      }),
    ),
  );
  await Promise.all(runIds.map((runId) => ended(control.ports, runId)));
  const bound = (await reportsOf(control.ports)).filter(
    ({ name, data }) => name === 'session-bound' && 'runId' in data && runIds.includes(data.runId),
  );
  expect(bound.map(({ data }) => 'requested' in data && data.requested)).toEqual([
    null,
    'conversation-same',
    'conversation-same',
  ]);
});

test('a runner announces the providers whose programs it finds', async () => {
  await vi.waitFor(async () => {
    const entry = await control.ports.bucket('presence').get(presenceKey(BOUNDARY, AGENT));
    expect(parseJson(entry?.value ?? new Uint8Array())).toMatchObject({ providers: ['exec', 'claude'] });
  });
});
