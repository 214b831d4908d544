// What a turn of a real program leaves on record, and what the program is given, with a real runner and broker.
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTime } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { runs } from '#services/runs/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { makeId } from '#streams/ids.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { pretendClaude } from '#test/support/pretend-claude.ts';
import { createRun, shown, typesOf } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  endsOf,
  reported,
  reportsOf,
  runnerFolders,
  script,
  startRunner,
  type RunnerFolders,
  type StoredReport,
} from '#test/support/runner-rig.ts';
import { ask, transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  const PATH = `${pretendClaude(dirname(folders.dataDir))}:${readEnvironment()['PATH'] ?? ''}`;
  const environment = { PATH, HOME: '/root', ANTHROPIC_API_KEY: 'key-1', SOMETHING_ELSE: 'no' };
  runner = await startRunner({ broker, folders, environment });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const whole = async (changes: Parameters<typeof createRun>[1]) => {
  const runId = await createRun(control.ports, changes);
  const end = await ended(control.ports, runId);
  return { runId, end, reports: await reportsOf(control.ports, runId) };
};
const named = (reports: readonly StoredReport[], name: string): StoredReport[] =>
  reports.filter((report) => report.name === name);
const node = (source: string): string[] => [process.execPath, '-e', source];

describe('what a program is given', () => {
  test('TR-07 its own folder, a clean environment, and the facts of its turn', async () => {
    const source = `console.log(JSON.stringify({ type: 'text', text: JSON.stringify({ env: process.env, cwd: process.cwd() }) })); console.log('{"type":"result","outcome":"done"}')`;
    const request = { prompt: 'p', turnTimeoutMs: 60_000, program: node(source), workspace: 'seven' };
    const { runId, reports } = await whole({ request });
    const [text] = named(reports, 'text');
    const told = JSON.parse(text?.name === 'text' ? text.data.text : '{}') as {
      env: Record<string, string>;
      cwd: string;
    };
    expect(told.cwd).toMatch(/\/workspaces\/seven$/);
    expect(told.env).toMatchObject({
      FLEETLOG_AGENT: AGENT,
      FLEETLOG_RUN: runId,
      FLEETLOG_TURN: text?.name === 'text' ? text.data.turnId : '',
      FLEETLOG_WORKSPACE: told.cwd,
      FLEETLOG_PROJECT: 'main',
      HOME: '/root',
    });
    expect(told.env).not.toHaveProperty('SOMETHING_ELSE');
    expect(told.env).not.toHaveProperty('ANTHROPIC_API_KEY');
  });

  test('TR-02 a kind of program that this runner does not have is refused before anything is started, and named', async () => {
    const { end, reports } = await whole({ provider: 'codex' });
    expect(end).toMatchObject({
      failure: { kind: 'infra-failed', message: expect.stringContaining('provider codex') },
    });
    expect(named(reports, 'turn-started')).toEqual([]);
  });

  test('TR-06 TR-08 a turn that waited for its session goes on with what the turn before it was told', async () => {
    const sessionId = makeId('session', systemIds.ulid());
    const runIds = await Promise.all(
      ['one', 'two'].map((prompt) =>
        createRun(control.ports, {
          provider: 'claude',
          sessionId,
          request: { prompt, turnTimeoutMs: 60_000 },
        }),
      ),
    );
    await Promise.all(runIds.map((runId) => ended(control.ports, runId)));
    const asked = (await Promise.all(runIds.map((runId) => reportsOf(control.ports, runId))))
      .flatMap((reports) => named(reports, 'session-bound'))
      .map(({ data }) => ('requested' in data ? data.requested : undefined));
    expect(asked.filter((requested) => requested === null)).toHaveLength(1);
    expect(asked.filter((requested) => typeof requested === 'string')).toHaveLength(1);
  });
});

describe('what is on record', () => {
  test('TR-09 TR-17 the whole of its standard error is kept under its turn, before the end is told, also of one that was killed', async () => {
    const lines = 2000;
    const source = `let all = ''; for (let at = 0; at < ${lines}; at++) all += 'line ' + at + '\\n'; process.stderr.write(all, () => process.kill(process.pid, 'SIGKILL'));`;
    const request = { prompt: 'p', turnTimeoutMs: 60_000, program: node(source) };
    const { end, reports } = await whole({ request });
    const errors = named(reports, 'output')
      .map(({ data }) => ('text' in data ? data.text : ''))
      .join('');
    expect(errors).toBe(Array.from({ length: lines }, (_, at) => `line ${at}\n`).join(''));
    expect(reports.at(-1)?.name).toBe('turn-finished');
    expect(end).toMatchObject({ failure: { message: expect.stringContaining(`line ${lines - 1}`) } });
  });

  test('TR-30 the exit code and the signal are in the result, and neither makes a turn done by itself', async () => {
    const code = await whole({ request: { ...script({ exit: 7 }) } });
    expect(code.end).toMatchObject({ result: { outcome: 'failed', exitCode: 7, signal: null } });
    const quiet = await whole({ request: { prompt: 'p', turnTimeoutMs: 60_000, program: ['true'] } });
    expect(quiet.end).toMatchObject({
      result: { outcome: 'failed', exitCode: 0 },
      failure: { kind: 'protocol-invalid' },
    });
    const killed = await whole({
      request: { prompt: 'p', turnTimeoutMs: 60_000, program: node(`process.kill(process.pid, 'SIGKILL')`) },
    });
    expect(killed.end).toMatchObject({ result: { outcome: 'failed', exitCode: null, signal: 'SIGKILL' } });
  });

  test('TR-26 each kind of line becomes the report of that kind, in order, and what is none of them is kept', async () => {
    const lines = [
      { type: 'reasoning', text: 'r' },
      { type: 'text', text: 't' },
      { type: 'tool-started', callId: 'c', name: 'n', input: { a: 1 } },
      { type: 'file-changed', path: 'x', change: 'created' },
      { type: 'tool-finished', callId: 'c', output: 'o' },
      { type: 'usage', inputTokens: 1 },
      { type: 'something-new', a: 1 },
      { type: 'output', text: 'raw' },
      { type: 'result', outcome: 'done' },
    ];
    const source = `for (const line of ${JSON.stringify(lines)}) console.log(JSON.stringify(line))`;
    const { reports } = await whole({
      request: { prompt: 'p', turnTimeoutMs: 60_000, program: node(source) },
    });
    expect(reports.map(({ name }) => name).filter((name) => name !== 'prompt-echoed')).toEqual([
      'turn-started',
      'reasoning',
      'text',
      'tool-started',
      'file-changed',
      'tool-finished',
      'usage',
      'unknown-line',
      'output',
      'insight',
      'turn-finished',
    ]);
  });

  test('TR-27 WK-26 a record names its run, turn and session; a secret in the arguments of a tool is taken out of all of it', async () => {
    const secret = `ghp_${'Z9y8X7w6V5u4'.repeat(3)}`;
    const call = {
      type: 'tool-started',
      callId: 'c',
      name: 'sh',
      input: { command: `curl -H "authorization: ${secret}"`, password: 'open-sesame-1' },
    };
    const source = `console.log(${JSON.stringify(JSON.stringify(call))}); console.log('{"type":"result","outcome":"done"}')`;
    const { runId, reports } = await whole({
      request: { prompt: 'p', turnTimeoutMs: 60_000, program: node(source) },
    });
    const [tool] = named(reports, 'tool-started');
    expect(tool?.data).toMatchObject({
      runId,
      turnId: expect.stringMatching(/^trn_/),
      sessionId: expect.stringMatching(/^ses_/),
      name: 'sh',
    });
    // The program's own arguments hold it as well: they are part of what is reported of the start.
    for (const { entry } of reports) {
      const stored = Buffer.from(entry.body).toString() + JSON.stringify(entry.headers);
      expect(stored).not.toContain(secret);
      expect(stored).not.toContain('open-sesame-1');
    }
  });

  test('TR-24 TR-T6 the first sign of life moves the run on once, however often it is told', async () => {
    const { runId, reports } = await whole({ request: script({ say: 'a' }, { say: 'b' }, { say: 'c' }) });
    expect(await typesOf(control.ports, runId)).toEqual(['created', 'claimed', 'turn-started', 'completed']);
    expect(named(reports, 'turn-started')).toHaveLength(1);
  });

  test('TR-37 the last activity of a run is that of its end', async () => {
    const { runId, reports } = await whole({ request: script({ say: 'a' }, { sleepMs: 20 }) });
    const last = reports.at(-1);
    const activity = await shown(
      control.ports,
      { bucket: 'activity', key: viewKey(BOUNDARY, runId) },
      last?.entry.seq ?? 0,
    );
    expect(activity).toMatchObject({ runId, lastSeq: last?.entry.seq });
    expect(Number(activity['lastReportAt'])).toBe(parseTime(last?.entry.headers['ce-time'] ?? ''));
  });
});

describe('ending a turn from outside', () => {
  test('TR-10 TR-19 WK-29 is an instruction to whoever holds it, by the id of the run: no number of a process is needed', async () => {
    const runId = await createRun(control.ports, { request: script({ say: 'on' }, { sleepMs: 600_000 }) });
    const start = await reported(control.ports, runId, ({ name }) => name === 'turn-started');
    const { turnId, pid } = start.name === 'turn-started' ? start.data : { turnId: '', pid: 0 };
    const mark = `FLEETLOG_TURN=${turnId}`;
    await reported(control.ports, runId, ({ name }) => name === 'text');
    expect(await findMarked(mark)).toContain(pid);
    const held = await shown(control.ports, { bucket: 'runs', key: viewKey(BOUNDARY, runId) }, 1);
    expect(held).toMatchObject({ runnerId: expect.stringContaining(AGENT), fence: 1 });
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.cancelled.v1',
      reason: 'enough',
    });
    expect(await findMarked(mark)).toEqual([]);
  });

  test('TR-32 TR-41 WK-24 when two want to end a run, the log has one end, and every reader of it the same', async () => {
    const runId = await createRun(control.ports, { request: script({ say: 'nearly' }, { sleepMs: 50 }) });
    await transition(control.ports, runId, 'fleetlog.run.turn-started.v1');
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    const end = await ended(control.ports, runId);
    await reported(control.ports, runId, ({ name }) => name === 'turn-finished');
    expect(await endsOf(control.ports, runId)).toBe(1);
    const state = String(end.type.split('.')[2]);
    const view = await shown(control.ports, { bucket: 'runs', key: viewKey(BOUNDARY, runId) }, end.seq);
    expect(view['state']).toBe(state);
    // Whoever comes later is told how it stands, and changes nothing.
    expect(await ask(control.ports, 'cancel', { runId, reason: 'again', actor: 'user:test' })).toMatchObject({
      outcome: 'ok',
      result: { state },
    });
    expect(await endsOf(control.ports, runId)).toBe(1);
  });
});
