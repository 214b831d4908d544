// A runner whose program is an agent of the Agent Client Protocol, with the real control plane on a real broker: conversations over several
// runs, what a person is asked, and every end. The agent is scripted; the real ones are driven by `npm run test:providers`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { runs } from '#services/runs/service.ts';
import { presenceKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { acpAgent } from '#test/support/acp-rig.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { answerIn, askedIn } from '#test/support/person.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  reported,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { ask } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

type Persona = Parameters<typeof acpAgent>[0];

const startWith = (
  persona: Persona,
  config: Readonly<Record<string, unknown>> = {},
): Promise<ControlPlane> => {
  const [acpProgram, ...acpArguments] = acpAgent(persona);
  return startRunner({
    broker,
    folders,
    environment: { PATH: readEnvironment()['PATH'] ?? '' },
    config: { acpProgram, acpArguments, ...config },
  });
};
/** Another runner on the same folders, as after an update of its settings. */
const restartWith = async (...how: Parameters<typeof startWith>): Promise<void> => {
  await runner.stop();
  runner = await startWith(...how);
};

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  runner = await startWith({});
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const newSession = (): string => makeId('session', systemIds.ulid());
const start = (steps: readonly object[], sessionId: string, more: object = {}): Promise<string> =>
  createRun(control.ports, {
    provider: 'acp',
    sessionId,
    request: { prompt: JSON.stringify(steps), turnTimeoutMs: 60_000, ...more },
  });
const turn = async (steps: readonly object[], sessionId: string, more: object = {}) => {
  const runId = await start(steps, sessionId, more);
  return { end: await ended(control.ports, runId), reports: await reportsOf(control.ports, runId) };
};
const agentLog = (sessionId: string): readonly string[] =>
  readFileSync(join(folders.workspaceRoot, sessionId, 'agent.log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.slice(line.indexOf(' ') + 1));
const living = (sessionId: string): Promise<readonly number[]> => findMarked(`FLEETLOG_SESSION=${sessionId}`);
const kinds = (reports: readonly { readonly name: string }[]): readonly string[] =>
  reports.map(({ name }) => name).filter((name) => name !== 'output' && name !== 'prompt-echoed');

test('a runner with such a program announces it', async () => {
  await vi.waitFor(async () => {
    const entry = await control.ports.bucket('presence').get(presenceKey(BOUNDARY, AGENT));
    expect(parseJson(entry?.value ?? new Uint8Array())).toMatchObject({
      providers: expect.arrayContaining(['acp']),
    });
  });
});

test('the runs of a session are turns of one process and one conversation, each told in full', async () => {
  const sessionId = newSession();
  const first = await turn([{ think: 'hm' }, { say: 'one' }], sessionId);
  expect(first.end).toMatchObject({
    type: 'fleetlog.run.completed.v1',
    result: {
      outcome: 'done',
      summary: 'one',
      exitCode: null,
      usage: { inputTokens: 15, cachedInputTokens: 5, outputTokens: 2 },
    },
  });
  expect(kinds(first.reports)).toEqual([
    'turn-started',
    'session-bound',
    'reasoning',
    'text',
    'usage',
    'turn-finished',
  ]);
  const [pid] = await living(sessionId);
  expect(first.reports[0]).toMatchObject({ data: { provider: 'acp', programVersion: '1.2.3', pid } });
  const second = await turn([{ recall: true }], sessionId);
  expect(second.reports[0]).toMatchObject({ data: { pid, programVersion: '1.2.3' } });
  expect(second.reports.find(({ name }) => name === 'text')?.data).toMatchObject({
    text: expect.stringContaining('"say":"one"'),
  });
});

describe('a person who is asked', () => {
  test('sees the call, approves it, and the agent goes on', async () => {
    const sessionId = newSession();
    const input = { command: 'make release' };
    const runId = await start(
      [{ ask: { id: 'c-1', title: 'make release', input } }, { say: 'released' }],
      sessionId,
    );
    expect(await answerIn(control.ports, runId, 'approve')).toMatchObject({
      mode: 'held',
      tool: 'execute',
      input,
      question: 'Allow execute: make release?',
    });
    expect(await ended(control.ports, runId)).toMatchObject({
      result: { outcome: 'done', summary: 'released' },
    });
    expect(agentLog(sessionId)).toContain('answer c-1 yes-1');
    const told = (await reportsOf(control.ports, runId)).find(({ name }) => name === 'output');
    expect(told?.data).toMatchObject({
      text: 'permission for execute (make release): allowed by approval\n',
    });
  });

  test('rejects it: the agent is told, and what it makes of that is not a cancel', async () => {
    const sessionId = newSession();
    const goesOn = await start([{ ask: { id: 'c-1' } }, { say: 'then not' }], sessionId);
    await answerIn(control.ports, goesOn, 'reject');
    expect(await ended(control.ports, goesOn)).toMatchObject({
      result: { outcome: 'done', summary: 'then not' },
    });
    expect(agentLog(sessionId)).toContain('answer c-1 no-1');
    await restartWith({ name: '@agentclientprotocol/codex-acp', afterReject: 'cancels' });
    const givesUp = await start([{ ask: { id: 'c-1' } }], newSession());
    await answerIn(control.ports, givesUp, 'reject');
    expect(await ended(control.ports, givesUp)).toMatchObject({
      type: 'fleetlog.run.failed.v1',
      failure: { message: 'the agent gave up because a tool call was turned down' },
    });
    await restartWith({});
  });

  test('is no longer asked when the run is cancelled, and the agent is told so', async () => {
    const sessionId = newSession();
    const runId = await start([{ ask: { id: 'c-1' } }, { say: 'never' }], sessionId);
    await askedIn(control.ports, runId);
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.cancelled.v1' });
    await vi.waitFor(() => expect(agentLog(sessionId)).toContain('answer c-1 cancelled'));
    expect(agentLog(sessionId)).toContain('cancel');
  });

  test('need not be asked: the settings can decide, which is told as well', async () => {
    await restartWith({}, { acpPermissions: 'reject' });
    const sessionId = newSession();
    const { end, reports } = await turn([{ ask: { id: 'c-1' } }, { say: 'then not' }], sessionId);
    expect(end).toMatchObject({ result: { outcome: 'done' } });
    expect(agentLog(sessionId)).toContain('answer c-1 no-1');
    expect(reports.find(({ name }) => name === 'output')?.data).toMatchObject({
      text: 'permission for execute (touch it): rejected by the setting acpPermissions\n',
    });
    await restartWith({});
  });
});

describe('an end', () => {
  test('by a cancel leaves the process for the next run', async () => {
    const sessionId = newSession();
    const runId = await start([{ say: 'working' }, { hang: true }], sessionId);
    await reported(control.ports, runId, ({ name }) => name === 'text');
    const before = await living(sessionId);
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.cancelled.v1',
      result: { outcome: 'cancelled', exitCode: null, signal: null },
    });
    expect((await turn([{ say: 'next' }], sessionId)).end).toMatchObject({ result: { outcome: 'done' } });
    expect(await living(sessionId)).toEqual(before);
  });

  test('of the runner takes every process with it, and the next one goes on with the conversation', async () => {
    const sessionId = newSession();
    await turn([{ say: 'one' }], sessionId);
    expect(await living(sessionId)).toHaveLength(1);
    await runner.stop();
    expect(await living(sessionId)).toEqual([]);
    runner = await startWith({});
    const { reports } = await turn([{ recall: true }], sessionId);
    expect(reports.find(({ name }) => name === 'session-bound')?.data).toMatchObject({
      providerSessionId: 'conversation-1',
      requested: 'conversation-1',
    });
    expect(agentLog(sessionId)).toContain('resume conversation-1');
  });
});

describe('a conversation that the agent has forgotten', () => {
  const forgotten = async (more: object) => {
    const sessionId = newSession();
    await turn([{ say: 'one' }], sessionId);
    await restartWith({ forgets: true });
    const result = await turn([{ say: 'two' }], sessionId, more);
    await restartWith({});
    return { ...result, sessionId };
  };

  test('TR-23 is told as a fork, and the run goes on in the new one', async () => {
    const { end, reports } = await forgotten({});
    expect(end).toMatchObject({ result: { outcome: 'done', summary: 'two' } });
    expect(reports.find(({ name }) => name === 'session-forked')?.data).toMatchObject({
      providerSessionId: 'conversation-2',
      requested: 'conversation-1',
    });
  });

  test('TR-23 fails the run before anything is prompted, where that is the rule', async () => {
    const { end, sessionId } = await forgotten({ resumeMismatch: 'fail' });
    expect(end).toMatchObject({ type: 'fleetlog.run.failed.v1' });
    expect(agentLog(sessionId).filter((line) => line.startsWith('prompt'))).toHaveLength(1);
  });
});
