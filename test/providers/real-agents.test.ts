// Real agents of the Agent Client Protocol, driven by a runner with the real control plane on a real broker; only the model is scripted.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { agentHome } from '#test/support/agent-homes.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { startModelServer, type ModelServer } from '#test/support/model-server.ts';
import { answerIn } from '#test/support/person.ts';
import { REAL_AGENTS, variableOf, type RealAgent } from '#test/support/real-programs.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  ended,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { ask } from '#test/support/scripted-runner.ts';

const pathOf = (name: RealAgent): string | undefined => readEnvironment()[variableOf(name)];
const WAIT_FOR_EVER = 'until [ -e never ]; do sleep 0.2; done';

/** What the agents do differently, and reports show. */
const EXPECTED: {
  readonly [Agent in RealAgent]: {
    readonly afterReject: 'goes-on' | 'gives-up';
    readonly usage: object | undefined;
  };
} = {
  'claude-agent-acp': {
    afterReject: 'goes-on',
    usage: { inputTokens: 2200, outputTokens: 40, costMicroUsd: expect.any(Number) },
  },
  'codex-acp': { afterReject: 'gives-up', usage: { inputTokens: 2200, outputTokens: 40 } },
  gemini: { afterReject: 'goes-on', usage: { inputTokens: 2200, outputTokens: 40 } },
  opencode: { afterReject: 'gives-up', usage: undefined },
};

let broker: FreshBroker;
let model: ModelServer;
let control: ControlPlane;

beforeAll(async () => {
  model = await startModelServer([
    {
      match: 'first task',
      replies: [
        {
          thinking: 'A file is wanted.',
          text: 'I make it.',
          shell: 'echo made > made.txt; echo output of it',
          usage: { input: 1000, output: 30 },
        },
        { text: 'It is made.', usage: { input: 1200, output: 10 } },
      ],
    },
    {
      match: 'second task',
      replies: [
        { shell: 'cat made.txt', usage: { input: 1500, output: 20 } },
        { text: 'I have read it.', usage: { input: 1600, output: 5 } },
      ],
    },
    { match: 'refused task', replies: [{ status: 400 }, { status: 400 }, { status: 400 }] },
    { match: 'endless task', replies: [{ text: 'This takes long.', shell: WAIT_FOR_EVER }] },
    {
      match: 'asked task',
      replies: [
        { text: 'May I?', shell: 'echo asked > asked.txt', isAsked: true },
        { text: 'I have gone on.' },
      ],
    },
  ]);
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
});
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

const agents = Object.keys(REAL_AGENTS) as RealAgent[];
describe.each(agents.map((name) => ({ name })))('the real $name', ({ name }) => {
  const path = pathOf(name);
  const { afterReject, usage } = EXPECTED[name];
  const it = test.skipIf(path === undefined);
  const sessionId = makeId('session', systemIds.ulid());
  let folders: RunnerFolders;
  let runner: ControlPlane;

  const startIt = (): Promise<ControlPlane> => {
    const { environment, config } = agentHome(name, path ?? '', dirname(folders.dataDir), model.url);
    return startRunner({ broker, folders, environment, config: { killAfterMs: 5000, ...config } });
  };
  beforeAll(async () => {
    folders = runnerFolders();
    if (path !== undefined) runner = await startIt();
  });
  afterAll(async () => {
    if (path === undefined) return;
    expect(runner.fatal).toEqual([]);
    await runner.stop();
  });

  const newSession = (): string => makeId('session', systemIds.ulid());
  const start = (prompt: string, session: string): Promise<string> =>
    createRun(control.ports, {
      provider: 'acp',
      sessionId: session,
      request: { prompt, turnTimeoutMs: 100_000 },
    });
  /** Some ask about some of their commands: whatever it is about, it is allowed. */
  const allow = (runId: string): void => {
    answerIn(control.ports, runId, 'approve').catch(() => undefined);
  };
  const inWorkspace = (session: string, file: string): string => join(folders.workspaceRoot, session, file);
  const living = (session: string): Promise<readonly number[]> => findMarked(`FLEETLOG_SESSION=${session}`);

  /** Processes of the endless command. */
  const commands = async (session: string): Promise<readonly number[]> =>
    (await living(session)).filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('-e never'),
    );

  it('makes a file by a tool call, and every step is reported', async () => {
    const runId = await start('Do the first task.', sessionId);
    allow(runId);
    const end = await ended(control.ports, runId);
    expect(end).toMatchObject({
      type: 'fleetlog.run.completed.v1',
      result: { outcome: 'done', summary: 'It is made.', exitCode: null },
    });
    expect('result' in end ? end.result?.usage : null).toEqual(
      usage === undefined ? undefined : expect.objectContaining(usage),
    );
    expect(readFileSync(inWorkspace(sessionId, 'made.txt'), 'utf8')).toBe('made\n');
    const reports = await reportsOf(control.ports, runId);
    expect(reports[0]).toMatchObject({
      name: 'turn-started',
      data: { provider: 'acp', programVersion: REAL_AGENTS[name].version },
    });
    const kinds = reports.map(({ name: kind }): string => kind);
    const isSaid = ['session-bound', 'reasoning', 'text', 'tool-started', 'tool-finished', 'turn-finished'];
    expect(kinds.filter((kind) => isSaid.includes(kind))).toEqual([
      'session-bound',
      'reasoning',
      'text',
      'tool-started',
      'tool-finished',
      'text',
      'turn-finished',
    ]);
    expect(reports.filter(({ name: kind }) => kind === 'unknown-line')).toEqual([]);
    const started = reports.find(({ name: kind }) => kind === 'tool-started');
    expect(JSON.stringify(started?.data)).toContain('echo made > made.txt');
  });

  it('goes on with its conversation in the same process, then in another', async () => {
    const before = await living(sessionId);
    expect(before.length).toBeGreaterThan(0);
    const again = await start('Do the second task.', sessionId);
    allow(again);
    expect(await ended(control.ports, again)).toMatchObject({ result: { summary: 'I have read it.' } });
    // Helpers of the agent may still be ending at either time; nothing lives on that was not there before, and the agent does.
    const newcomers = async (): Promise<readonly number[]> =>
      (await living(sessionId)).filter((pid) => !before.includes(pid));
    await expect.poll(newcomers, { timeout: 10_000 }).toEqual([]);
    expect((await living(sessionId))[0]).toBe(before[0]);
    await runner.stop();
    expect(await living(sessionId)).toEqual([]);
    runner = await startIt();
    const asked = model.asked.length;
    const runId = await start('Do the second task.', sessionId);
    allow(runId);
    expect(await ended(control.ports, runId)).toMatchObject({ result: { summary: 'I have read it.' } });
    const reports = await reportsOf(control.ports, runId);
    expect(reports.filter(({ name: kind }) => kind === 'session-forked')).toEqual([]);
    // Nothing of its past is reported again.
    expect(reports.filter(({ name: kind }) => kind === 'tool-started')).toHaveLength(1);
    const [question] = model.asked.slice(asked).filter(({ tools }) => tools.length > 0);
    expect(question?.items.some(({ who, text }) => who === 'user' && text.includes('first task'))).toBe(true);
  });

  it('fails with the reason when its model refuses', async () => {
    expect(await ended(control.ports, await start('Do the refused task.', newSession()))).toMatchObject({
      type: 'fleetlog.run.failed.v1',
      failure: { kind: 'provider-failed', message: expect.stringContaining('scripted 400') },
    });
  });

  it('asks a person, and does what is allowed and nothing else', async () => {
    const [allowed, refused] = [newSession(), newSession()];
    const first = await start('Do the asked task.', allowed);
    expect(JSON.stringify(await answerIn(control.ports, first, 'approve'))).toContain('asked.txt');
    expect(await ended(control.ports, first)).toMatchObject({ result: { outcome: 'done' } });
    expect(existsSync(inWorkspace(allowed, 'asked.txt'))).toBe(true);
    const second = await start('Do the asked task.', refused);
    await answerIn(control.ports, second, 'reject');
    const end = await ended(control.ports, second);
    expect(end.type).toBe(afterReject === 'goes-on' ? 'fleetlog.run.completed.v1' : 'fleetlog.run.failed.v1');
    expect(existsSync(inWorkspace(refused, 'asked.txt'))).toBe(false);
  });

  it('is cancelled in the middle of a command, which is ended, and goes on in the same process', async () => {
    const session = newSession();
    const runId = await start('Do the endless task.', session);
    allow(runId);
    await vi.waitFor(async () => expect(await commands(session)).not.toEqual([]), { timeout: 60_000 });
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.cancelled.v1',
      result: { outcome: 'cancelled', exitCode: null, signal: null },
    });
    expect(await commands(session)).toEqual([]);
  });
});
