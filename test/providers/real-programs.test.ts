// The real Claude Code and Codex, driven by a runner with the real control plane on a real broker; only the model is scripted.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { startModelServer, type ModelServer } from '#test/support/model-server.ts';
import { environmentIn, pathOf, REAL_PROGRAMS, type RealProgram } from '#test/support/real-programs.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  ended,
  reported,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { ask } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let model: ModelServer;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

const WAIT_FOR_EVER = 'until [ -e never ]; do sleep 0.2; done';

beforeAll(async () => {
  model = await startModelServer([
    {
      match: 'first task',
      replies: [
        {
          thinking: 'A file is wanted.',
          text: 'I make it.',
          shell: 'echo made > made.txt',
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
    { match: 'foreign task', replies: Array.from({ length: 8 }, () => ({ status: 401 })) },
    { match: 'refused task', replies: [{ status: 400 }, { status: 400 }] },
    { match: 'endless task', replies: [{ text: 'This takes long.', shell: WAIT_FOR_EVER }] },
  ]);
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  runner = await startRunner({
    broker,
    folders,
    environment: environmentIn(dirname(folders.dataDir), model.url),
    config: {
      killAfterMs: 5000,
      passEnvironment: ['SCRIPTED_KEY'],
      claudeProgram: pathOf('claude') ?? 'claude',
      claudeArguments: ['--permission-mode', 'acceptEdits', '--allowedTools', 'Bash'],
      codexProgram: pathOf('codex') ?? 'codex',
      codexArguments: ['-s', 'danger-full-access'],
    },
  });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

const names = Object.keys(REAL_PROGRAMS) as RealProgram[];
describe.each(names.map((name) => ({ name })))('the real $name', ({ name }) => {
  const sessionId = makeId('session', systemIds.ulid());
  const start = (prompt: string, session = makeId('session', systemIds.ulid())): Promise<string> =>
    createRun(control.ports, {
      provider: name,
      sessionId: session,
      request: { prompt, turnTimeoutMs: 100_000 },
    });
  const kindsOf = async (runId: string): Promise<string[]> =>
    (await reportsOf(control.ports, runId))
      .map(({ name: kind }): string => kind)
      .filter((kind) => kind !== 'output' && kind !== 'session-ended');

  test.skipIf(pathOf(name) === undefined)(
    'makes a file by a tool call, and every step is reported',
    async () => {
      const runId = await start('Do the first task.', sessionId);
      expect(await ended(control.ports, runId)).toMatchObject({
        type: 'fleetlog.run.completed.v1',
        result: { summary: 'It is made.', usage: { inputTokens: 2200, outputTokens: 40 } },
      });
      expect(readFileSync(join(folders.workspaceRoot, sessionId, 'made.txt'), 'utf8')).toBe('made\n');
      expect(await kindsOf(runId)).toEqual([
        'turn-started',
        'prompt-echoed',
        'session-bound',
        'reasoning',
        'text',
        'tool-started',
        'tool-finished',
        'text',
        'usage',
        'insight',
        'turn-finished',
      ]);
      expect((await reportsOf(control.ports, runId))[0]).toMatchObject({
        data: { provider: name, programVersion: REAL_PROGRAMS[name].version },
      });
    },
  );

  test.skipIf(pathOf(name) === undefined)(
    'goes on with its conversation in the next turn, and tells that turn apart',
    async () => {
      const before = model.asked.length;
      const runId = await start('Do the second task.', sessionId);
      expect(await ended(control.ports, runId)).toMatchObject({
        result: { summary: 'I have read it.', usage: { inputTokens: 3100, outputTokens: 25 } },
      });
      const reports = await reportsOf(control.ports, runId);
      const bound = reports.find(({ name: kind }) => kind === 'session-bound');
      expect(bound?.data).toMatchObject({ requested: expect.any(String) });
      expect(reports.find(({ name: kind }) => kind === 'tool-finished')).toMatchObject({
        data: { output: expect.stringContaining('made'), isError: false },
      });
      // The model was told what had been said before.
      const [question] = model.asked.slice(before).filter(({ tools }) => tools.length > 0);
      expect(question?.items.some(({ who, text }) => who === 'user' && text.includes('first task'))).toBe(
        true,
      );
    },
  );

  test.skipIf(pathOf(name) === undefined)('fails with the reason when its model refuses', async () => {
    expect(await ended(control.ports, await start('Do the refused task.'))).toMatchObject({
      type: 'fleetlog.run.failed.v1',
      failure: { kind: 'provider-failed', message: expect.stringContaining('scripted 400') },
    });
  });

  test.skipIf(pathOf(name) === undefined)('that nobody knows leaves its work to others', async () => {
    const end = await ended(control.ports, await start('Do the foreign task.'));
    expect(end).toMatchObject({ failure: { kind: 'provider-failed', unfit: true } });
  });

  test.skipIf(pathOf(name) === undefined)(
    'is cancelled in the middle of a command, and nothing of it is left',
    async () => {
      const runId = await start('Do the endless task.');
      await reported(control.ports, runId, ({ name: kind }) => kind === 'tool-started');
      await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
      const end = await ended(control.ports, runId);
      expect(end).toMatchObject({ type: 'fleetlog.run.cancelled.v1', result: { outcome: 'cancelled' } });
      expect(await findMarked(`FLEETLOG_TURN=${'turnId' in end ? end.turnId : ''}`)).toEqual([]);
    },
  );
});
