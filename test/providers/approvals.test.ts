// The real Claude Code and calls that a person must allow: the turn ends with the question, nothing waits, and the answer goes on with
// the conversation; only the model is scripted. Needs the program: `npm run test:providers`.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { startModelServer, type ModelServer } from '#test/support/model-server.ts';
import { variableOf } from '#test/support/real-programs.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import {
  ended,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { ask, transition } from '#test/support/scripted-runner.ts';

const program = readEnvironment()[variableOf('claude')];

let broker: FreshBroker;
let model: ModelServer;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

const start = (): Promise<ControlPlane> => {
  const home = dirname(folders.dataDir);
  mkdirSync(join(home, 'tmp'), { recursive: true });
  const environment = {
    PATH: [dirname(process.execPath), readEnvironment()['PATH'] ?? ''].join(delimiter),
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    LANG: 'C.UTF-8',
    ANTHROPIC_API_KEY: 'scripted',
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_MODEL: 'claude-sonnet-4-5',
    CLAUDE_CODE_MAX_RETRIES: '1',
  };
  const config = {
    claudeProgram: program,
    askBefore: ['Bash(*release*)'],
    claudeArguments: ['--allowedTools', 'Bash'],
  };
  return startRunner({ broker, folders, environment, config });
};

beforeAll(async () => {
  model = await startModelServer([
    {
      match: 'release task',
      replies: [
        { text: 'First a look.', shell: 'echo looked > looked.txt', usage: { input: 100, output: 5 } },
        { shell: 'echo "release" >> done.txt', usage: { input: 200, output: 5 } },
        { text: 'That is all.', usage: { input: 300, output: 5 } },
      ],
    },
  ]);
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  runner = await start();
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

/** A run that waits for an answer, and the files of its workspace. */
const waiting = async () => {
  const sessionId = makeId('session', systemIds.ulid());
  const request = { prompt: 'Do the release task.', turnTimeoutMs: 100_000 };
  const runId = await createRun(control.ports, { provider: 'claude', sessionId, request, maxAttempts: 1 });
  const asked = await transition(control.ports, runId, 'fleetlog.run.approval-asked.v1');
  const file = (name: string): string | undefined => {
    const path = join(folders.workspaceRoot, sessionId, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  };
  const answer = (said: Pick<RunRequestOf<'answer-approval'>, 'decision' | 'input' | 'message'>) =>
    ask(control.ports, 'answer-approval', {
      runId,
      approvalId: asked.approvalId,
      digest: asked.digest,
      answerId: 'a',
      actor: 'user:anna',
      ...said,
    });
  return { runId, asked, file, answer };
};

describe.skipIf(program === undefined)('the real claude', () => {
  test('HR-28 HR-45 ends with the question while nothing runs, and makes exactly the call that is allowed, once', async () => {
    const { runId, asked, file, answer } = await waiting();
    expect(asked).toMatchObject({
      tool: 'Bash',
      mode: 'parked',
      input: { command: 'echo "release" >> done.txt' },
    });
    expect(await findMarked(`FLEETLOG_TURN=${asked.turnId}`)).toEqual([]);
    expect([file('looked.txt'), file('done.txt')]).toEqual(['looked\n', undefined]);
    await answer({ decision: 'approve' });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.completed.v1',
      fence: 2,
      result: { summary: 'That is all.' },
    });
    expect(file('done.txt')).toBe('release\n');
    expect(await typesOf(control.ports, runId)).toEqual([
      'created',
      'claimed',
      'turn-started',
      'approval-asked',
      'approval-answered',
      'claimed',
      'turn-started',
      'completed',
    ]);
    const reports = await reportsOf(control.ports, runId);
    expect(reports.filter(({ name }) => name === 'turn-finished')).toHaveLength(1);
    expect(reports.filter(({ name }) => name === 'session-forked')).toEqual([]);
  });

  test('HR-43 is told of a refusal and goes on without the call; an edited call is made instead', async () => {
    const refused = await waiting();
    await refused.answer({ decision: 'reject', message: 'not on a Friday' });
    expect(await ended(control.ports, refused.runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
    expect(refused.file('done.txt')).toBeUndefined();
    const told = (await reportsOf(control.ports, refused.runId)).findLast(
      ({ name }) => name === 'tool-finished',
    );
    expect(told?.data).toMatchObject({ isError: true, output: expect.stringContaining('not on a Friday') });

    const edited = await waiting();
    await edited.answer({
      decision: 'edit',
      input: { command: 'echo dry >> done.txt', description: 'dry run' },
    });
    expect(await ended(control.ports, edited.runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
    expect(edited.file('done.txt')).toBe('dry\n');
  });

  test('goes on in another process of its runner, which was stopped while the question waited', async () => {
    const { runId, file, answer } = await waiting();
    await runner.stop();
    await answer({ decision: 'approve' });
    runner = await start();
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 2 });
    expect(file('done.txt')).toBe('release\n');
  });
});
