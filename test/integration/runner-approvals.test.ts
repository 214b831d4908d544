// A runner whose programs need a person: calls that are put off until there is an answer, and programs that ask and wait. The real hook,
// control endpoint and control plane; the program only pretends to be Claude Code (test/providers/approvals.test.ts drives the real one).
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { presenceKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import { askingClaude } from '#test/support/asking-claude.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  reported,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { ask, history, transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  const config = {
    claudeProgram: askingClaude(dirname(folders.dataDir)),
    askBefore: ['Bash(*release*)'],
    concurrency: 4,
    silenceMs: 1500,
  };
  runner = await startRunner({ broker, folders, config });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

type Said = Partial<RunRequestOf<'answer-approval'>> & Pick<RunRequestOf<'answer-approval'>, 'decision'>;
const answer = (runId: string, approvalId: string, said: Said) =>
  ask(control.ports, 'answer-approval', { runId, approvalId, answerId: 'a', actor: 'user:anna', ...said });

/** A run of the pretended Claude Code that makes these calls, a list for each message. */
const start = async (...messages: readonly (readonly string[])[]) => {
  const sessionId = makeId('session', systemIds.ulid());
  const request = { prompt: JSON.stringify(messages), turnTimeoutMs: 60_000 };
  const runId = await createRun(control.ports, { provider: 'claude', sessionId, request, maxAttempts: 1 });
  const file = (name: string): string | undefined => {
    const path = join(folders.workspaceRoot, sessionId, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  };
  const asked = (fence = 1) => transition(control.ports, runId, 'fleetlog.run.approval-asked.v1', fence);
  return { runId, file, asked };
};
const toldOf = async (runId: string) =>
  (await reportsOf(control.ports, runId)).flatMap(({ name, data }) =>
    name === 'tool-finished' ? [data as { output: string; isError: boolean }] : [],
  );

describe('a call that needs a person', () => {
  test('HR-28 HR-45 ends the turn with the question; the answer makes exactly that call, and the turn goes on', async () => {
    const { runId, file, asked } = await start(
      ['echo look >> log'],
      ['echo release >> log'],
      ['echo after >> log'],
    );
    const question = await asked();
    expect(question).toMatchObject({
      tool: 'Bash',
      input: { command: 'echo release >> log' },
      mode: 'parked',
      callId: 'call-1-0',
    });
    expect(file('log')).toBe('look\n');
    await answer(runId, question.approvalId, { decision: 'approve', digest: question.digest });
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 2 });
    expect(file('log')).toBe('look\nrelease\nafter\n');
    expect(file('starts.txt')).toMatch(/^new .*\nresumed without a prompt\n$/);
    const reports = await reportsOf(control.ports, runId);
    expect(reports.filter(({ name }) => name === 'approval-wanted')).toHaveLength(1);
    expect(reports.filter(({ name }) => name === 'turn-finished')).toHaveLength(1);
  });

  test('HR-43 is not made when a person refuses it, and made with another input when a person edits it', async () => {
    const { runId, file, asked } = await start(['echo release 1 >> log'], ['echo release 2 >> log']);
    await answer(runId, (await asked()).approvalId, { decision: 'reject', message: 'not on a Friday' });
    const second = await asked(2);
    expect(second).toMatchObject({ input: { command: 'echo release 2 >> log' } });
    await answer(runId, second.approvalId, { decision: 'edit', input: { command: 'echo dry >> log' } });
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 3 });
    expect(file('log')).toBe('dry\n');
    expect(await toldOf(runId)).toMatchObject([
      { isError: true, output: expect.stringMatching(/refused this call.*not on a Friday/) },
      { isError: false },
    ]);
  });

  test('is the first of several in one message: the others are told to come again, so that none is lost', async () => {
    const { runId, file, asked } = await start([
      'echo release 1 >> log',
      'echo release 2 >> log',
      'echo free >> log',
    ]);
    const question = await asked();
    expect(question).toMatchObject({ callId: 'call-0-0' });
    await answer(runId, question.approvalId, { decision: 'approve' });
    await ended(control.ports, runId);
    expect(file('log')).toBe('free\nrelease 1\n');
    expect(await toldOf(runId)).toMatchObject([
      { isError: true, output: expect.stringContaining('make this call again') },
      { isError: false },
      { isError: false },
    ]);
  });

  test('is ended by a cancel while it waits, and nothing of it is started again', async () => {
    const { runId, file, asked } = await start(['echo release >> log']);
    const { approvalId } = await asked();
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.cancelled.v1',
      approvalsClosed: [approvalId],
    });
    expect(file('log')).toBeUndefined();
  });

  test('calls that no rule names are made without a question', async () => {
    const { runId, file } = await start(['echo build >> log']);
    await ended(control.ports, runId);
    expect(file('log')).toBe('build\n');
    expect(await typesOf(control.ports, runId)).not.toContain('approval-asked');
  });
});

/** A program that asks the runner and says what it was told. */
const ASKING = `
const http = require('node:http');
const body = JSON.stringify({ question: 'Ship it?', detail: { version: 7 }, callId: 'ship' });
const options = { socketPath: process.env.FLEETLOG_CONTROL.replace('unix:', ''), path: '/v1/ask', method: 'POST',
  headers: { 'content-type': 'application/json', authorization: 'Bearer ' + process.env.FLEETLOG_TURN_TOKEN } };
const request = http.request(options, (response) => {
  let text = '';
  response.on('data', (chunk) => { text += chunk; });
  response.on('end', () => {
    console.log(JSON.stringify({ type: 'text', text }));
    console.log(JSON.stringify({ type: 'result', outcome: 'done', summary: text.slice(0, 200) }));
  });
});
request.on('error', () => undefined);
request.end(body);
if (process.argv[2] === 'impatient')
  setTimeout(() => { request.destroy(); console.log(JSON.stringify({ type: 'result', outcome: 'done', summary: 'gave up' })); }, 300);
`;

/** In a file: what looks like a secret in the arguments of a run is taken out. */
const asking = (): string => {
  const path = join(dirname(folders.dataDir), 'asking.cjs');
  writeFileSync(path, ASKING);
  return path;
};

const startAsking = (more: readonly string[] = [], turnTimeoutMs = 60_000): Promise<string> =>
  createRun(control.ports, {
    request: { prompt: 'x', program: [process.execPath, asking(), ...more], turnTimeoutMs },
    leaseMs: 5000,
  });

/** Resolves when the runner has said that it is alive so much later: real time has passed. */
const later = async (ms: number): Promise<void> => {
  const found = new AbortController();
  const from = control.ports.clock.now();
  const keys = [presenceKey(BOUNDARY, AGENT)];
  for await (const event of control.ports.bucket('presence').watch({ keys, signal: found.signal })) {
    if (event.kind !== 'put') continue;
    const { seenAt } = parseJson(event.entry.value) as { readonly seenAt: number };
    if (seenAt > from + ms) return found.abort();
  }
};

describe('a program that asks and waits', () => {
  test('is kept waiting beyond its limits and the lease, and told what a person has said', async () => {
    const runId = await startAsking([], 2000);
    const question = await transition(control.ports, runId, 'fleetlog.run.approval-asked.v1');
    expect(question).toMatchObject({
      mode: 'held',
      question: 'Ship it?',
      input: { version: 7 },
      callId: 'ship',
    });
    // Longer than silence (1.5 s), the deadline (2 s) and the lease (5 s).
    await later(6000);
    await answer(runId, question.approvalId, {
      decision: 'edit',
      input: { version: 8 },
      message: 'the next one',
    });
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 1 });
    const said = await reported(control.ports, runId, ({ name }) => name === 'text');
    expect(JSON.parse((said.data as { text: string }).text)).toMatchObject({
      isAllowed: true,
      input: { version: 8 },
      message: 'the next one',
    });
  });

  test('withdraws its question when it stops waiting', async () => {
    const runId = await startAsking(['impatient']);
    expect(await transition(control.ports, runId, 'fleetlog.run.approval-answered.v1')).toMatchObject({
      decision: 'withdrawn',
      by: `agent:${AGENT}`,
    });
    expect(await ended(control.ports, runId)).toMatchObject({ result: { summary: 'gave up' } });
  });

  test('is ended by a cancel, which closes its question', async () => {
    const runId = await startAsking();
    const { approvalId } = await transition(control.ports, runId, 'fleetlog.run.approval-asked.v1');
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.cancelled.v1' });
    expect(
      (await history(control.ports, runId)).map(
        (event) => 'approvalsClosed' in event && event.approvalsClosed,
      ),
    ).toContainEqual([approvalId]);
    await reported(control.ports, runId, ({ name }) => name === 'turn-finished');
  });
});
