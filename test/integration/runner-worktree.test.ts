// Runs that work in git worktrees, with a real runner and broker, and the command that shows and cleans them.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import type { CliContext } from '#services/cli/context.ts';
import { runCli } from '#services/cli/program.ts';
import { runs } from '#services/runs/service.ts';
import { registerWorkspaceCommand } from '#services/workspace-command.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { git, gitRepository } from '#test/support/git-repository.ts';
import { createRun } from '#test/support/run-facts.ts';
import { ended, reportsOf, runnerFolders, script, startRunner } from '#test/support/runner-rig.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
const folders = runnerFolders();
const repository = gitRepository();

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  const config = { repositories: [`app=${repository}`], sharedPaths: ['node_modules'] };
  runner = await startRunner({ broker, folders, config });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const fleetlog = async (...argv: string[]) => {
  const lines: string[] = [];
  const context = {
    version: '0',
    clock: systemClock,
    environment: readEnvironment(),
    workingDirectory: '/',
    signal: new AbortController().signal,
    terminal: { out: (line: string) => void lines.push(line), note: (line: string) => void lines.push(line) },
  } as unknown as CliContext;
  const whole = ['workspace', ...argv, '--root', folders.workspaceRoot];
  const exit = await runCli(whole, context, [
    { names: ['workspace'], load: () => Promise.resolve(registerWorkspaceCommand) },
  ]);
  return { exit, text: lines.join('\n') };
};
const listed = async (): Promise<Record<string, unknown>[]> =>
  (JSON.parse((await fleetlog('list', '--json')).text) as { workspaces: Record<string, unknown>[] })
    .workspaces;

test('a run that asks for a checkout works on a branch of its own, and its work is kept until it is merged', async () => {
  const request = {
    ...script(
      { shell: 'git branch --show-current; cat "$GIT_CONFIG_VALUE_0" | tail -1; git status --porcelain' },
      { write: 'new.txt', content: 'made here' },
      { commit: 'Add a file' },
    ),
    workspace: 'job',
    checkout: { repository: 'app', branch: 'main' },
  };
  const runId = await createRun(control.ports, { request });
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  const finished = (await reportsOf(control.ports, runId)).find(({ name }) => name === 'tool-finished');
  expect(finished).toMatchObject({ data: { output: 'fleetlog/job\n/node_modules\n' } });
  expect(git(repository, 'show', 'fleetlog/job:new.txt')).toBe('made here');
  expect(existsSync(join(repository, 'new.txt'))).toBe(false);

  expect(await listed()).toMatchObject([
    {
      name: 'job',
      kind: 'worktree',
      branch: 'fleetlog/job',
      unmerged: 1,
      canGo: false,
      reason: '1 unmerged commit',
    },
  ]);
  expect(await fleetlog('clean', 'job')).toMatchObject({ exit: 1, text: expect.stringContaining('stays') });
  git(repository, 'merge', '-q', 'fleetlog/job');
  expect((await fleetlog('clean', '--dry-run')).text).toMatch(
    /job +worktree +fleetlog\/job .*would go +everything/,
  );
  expect(await listed()).toHaveLength(1);
  expect(await fleetlog('clean', '--older-than', '1d')).toMatchObject({
    text: expect.stringContaining('used too recently'),
  });
  expect(await fleetlog('clean')).toMatchObject({ exit: 0, text: expect.stringContaining('gone') });
  expect(await listed()).toEqual([]);
  expect(git(repository, 'branch', '--list', 'fleetlog/*')).toBe('');
});

test('a program in a worktree holds it against being cleaned, and lets go of it at its end', async () => {
  const request = {
    ...script({ say: 'here' }, { shell: 'until [ -e go ]; do sleep 0.05; done; rm go' }),
    workspace: 'busy',
    checkout: {},
  };
  const runId = await createRun(control.ports, { request });
  const go = join(folders.workspaceRoot, 'busy', 'go');
  await expect
    .poll(async () => (await reportsOf(control.ports, runId)).some(({ name }) => name === 'tool-started'), {
      timeout: 20_000,
    })
    .toBe(true);
  expect(await listed()).toMatchObject([{ name: 'busy', condition: 'in-use' }]);
  expect((await fleetlog('clean', 'busy')).exit).toBe(1);
  writeFileSync(go, '');
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  await expect.poll(async () => (await fleetlog('clean', 'busy')).exit, { timeout: 20_000 }).toBe(0);
});

test('a run of a repository that the runner does not have fails and says which there are', async () => {
  const request = { ...script({ say: 'x' }), checkout: { repository: 'other' } };
  const runId = await createRun(control.ports, { request });
  expect(await ended(control.ports, runId)).toMatchObject({
    failure: { kind: 'infra-failed', message: expect.stringMatching(/no repository other \(it has app\)/) },
  });
});

test('mistakes are told, and what to do', async () => {
  expect(await fleetlog('clean', 'nope')).toMatchObject({
    exit: 2,
    text: expect.stringContaining('no workspace nope'),
  });
  expect(await fleetlog('clean', '--older-than', 'soon')).toMatchObject({
    exit: 2,
    text: expect.stringContaining('12h or 7d'),
  });
});
