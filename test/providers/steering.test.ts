// Words to the real Claude Code while it works, and its interrupt: a runner with the real control plane on a real broker; only the model is scripted.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { startModelServer, type ModelServer } from '#test/support/model-server.ts';
import { environmentIn, pathOf } from '#test/support/real-programs.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import { ended, reported, runnerFolders, startRunner, type RunnerFolders } from '#test/support/runner-rig.ts';
import { ask, transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let model: ModelServer;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  model = await startModelServer([
    {
      match: 'the slow task',
      replies: [
        { text: 'It takes a while.', shell: 'until [ -e go ]; do sleep 0.1; done' },
        { text: 'I have heard.' },
      ],
    },
    { match: 'count the herons', replies: [{ text: 'There are four herons.' }] },
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

const tell = async (runId: string, type: 'steer' | 'interrupt', text: string): Promise<void> => {
  const commandId = makeId('command', systemIds.ulid());
  const answer = await ask(control.ports, 'create-command', {
    runId,
    commandId,
    type,
    text,
    actor: 'user:test',
  });
  expect(answer.outcome).toBe('ok');
};

describe.skipIf(pathOf('claude') === undefined)('the real claude', () => {
  const start = async (): Promise<{ runId: string; workspace: string }> => {
    const sessionId = makeId('session', systemIds.ulid());
    const request = { prompt: 'Do the slow task.', turnTimeoutMs: 100_000 };
    const runId = await createRun(control.ports, { provider: 'claude', sessionId, request });
    await reported(control.ports, runId, ({ name }) => name === 'tool-started');
    return { runId, workspace: join(folders.workspaceRoot, sessionId) };
  };

  test('takes words up at its next tool result, in the same turn', async () => {
    const { runId, workspace } = await start();
    await tell(runId, 'steer', 'Rather count the herons.');
    await transition(control.ports, runId, 'fleetlog.run.command-acknowledged.v1');
    writeFileSync(join(workspace, 'go'), '');
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 1 });
    // The program puts them beside the result of the call.
    const told = model.asked.flatMap(({ items }) => items).filter(({ who }) => who === 'tool');
    expect(told.some(({ text }) => text.includes('Rather count the herons.'))).toBe(true);
    expect(await transition(control.ports, runId, 'fleetlog.run.command-finished.v1')).toMatchObject({
      state: 'completed',
    });
  }, 90_000);

  test('is interrupted in the middle of a command, and goes on in its conversation with what it is told', async () => {
    const { runId } = await start();
    await tell(runId, 'interrupt', 'Now count the herons.');
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.completed.v1',
      fence: 2,
      result: { summary: 'There are four herons.' },
    });
    expect(await typesOf(control.ports, runId)).toContain('turn-finished');
    expect(model.asked.at(-1)?.items.some(({ text }) => text.includes('the slow task'))).toBe(true);
  }, 90_000);
});
