// Isolated workspaces with the real git: made, gone on with, and made whole again after an interruption.
import { execFile } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { workspaceNotes } from '#services/runner/workspace/workspace-notes.ts';
import { createWorktreeRecords } from '#services/runner/workspace/worktree-record.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { commitFiles, git, gitRepository } from '#test/support/git-repository.ts';
import { inWorkspace, onlyOne, worktreeRig, type WorktreeRig } from '#test/support/worktree-rig.ts';

let rig: WorktreeRig;
const environment = readEnvironment();
beforeEach(() => {
  rig = worktreeRig();
});

describe('an isolated workspace', () => {
  test('is a worktree on a branch of its own, with what is untracked linked and told about', async () => {
    const workspace = await rig.make().prepare(inWorkspace('a'));
    expect(git(workspace.path, 'branch', '--show-current')).toBe('fleetlog/a');
    expect(readFileSync(join(workspace.path, 'node_modules/left-pad/index.js'), 'utf8')).toBe('pad\n');
    expect(lstatSync(join(workspace.path, 'README.md')).isSymbolicLink()).toBe(false);
    const notes = workspaceNotes(workspace.environment['FLEETLOG_WORKSPACE_JSON']);
    expect(notes).toMatch(/^Dependencies: the installed ones[^]*\n- node_modules\n- data\n/);
    workspace.release();
  });

  test('git in it passes over the links, also for `add -A`, and the repository’s settings are as they were', async () => {
    const before = readFileSync(join(rig.repository, '.git/config'), 'utf8');
    const { path, environment: variables, release } = await rig.make().prepare(inWorkspace('a'));
    const run = promisify(execFile);
    const env = { ...environment, ...variables };
    expect((await run('git', ['-C', path, 'status', '--porcelain'], { env })).stdout).toBe('');
    writeFileSync(join(path, 'new.txt'), 'x');
    await run('git', ['-C', path, 'add', '-A'], { env });
    expect((await run('git', ['-C', path, 'diff', '--cached', '--name-only'], { env })).stdout).toBe(
      'new.txt\n',
    );
    expect(readFileSync(join(rig.repository, '.git/config'), 'utf8')).toBe(before);
    release();
  });

  test('is gone on with by the next turn, with its work in it', async () => {
    const first = await rig.make().prepare(inWorkspace('a'));
    writeFileSync(join(first.path, 'half.txt'), 'half');
    first.release();
    const second = await rig.make().prepare(inWorkspace('a'));
    expect(second.path).toBe(first.path);
    expect(readFileSync(join(second.path, 'half.txt'), 'utf8')).toBe('half');
    second.release();
  });

  test('begins at the branch that was asked for, of the repository that was named', async () => {
    const other = gitRepository();
    git(other, 'checkout', '-q', '-b', 'next');
    const tip = commitFiles(other, { 'next.txt': '1' });
    git(other, 'checkout', '-q', 'main');
    const workspaces = rig.make({ isolation: 'folder', repositories: [rig.repository, `other=${other}`] });
    const { path, release } = await workspaces.prepare(
      inWorkspace('a', { repository: 'other', branch: 'next' }),
    );
    expect(git(path, 'rev-parse', 'HEAD')).toBe(tip);
    release();
    await expect(
      workspaces.prepare(inWorkspace('a', { repository: 'other', branch: 'main' })),
    ).rejects.toMatchObject({
      code: 'WORKSPACE_INVALID',
      message: /was begun at next, not at main/,
    });
    await expect(workspaces.prepare(inWorkspace('b', { repository: 'nope' }))).rejects.toMatchObject({
      message: /no rig.repository nope \(it has .*other\)/,
    });
    await expect(workspaces.prepare(inWorkspace('b', { branch: 'nope' }))).rejects.toMatchObject({
      message: /has no commit nope/,
    });
    // A run that asks for nothing goes on in it.
    const again = await workspaces.prepare(inWorkspace('a'));
    expect(git(again.path, 'branch', '--show-current')).toBe('fleetlog/a');
    again.release();
  });

  test('has the name of its session, or of the agent where the settings say so', () => {
    const instruction = { sessionId: 'ses-1', request: {} } as TurnInstruction;
    expect(rig.make().nameOf(instruction)).toBe('ses-1');
    expect(rig.make({ worktreePer: 'agent' }).nameOf(instruction)).toBe('builder-1');
    expect(rig.make({ worktreePer: 'agent', isolation: 'folder' }).nameOf(instruction)).toBe('ses-1');
  });

  test('is not made over a folder that is there already', async () => {
    mkdirSync(join(rig.root, 'a'));
    writeFileSync(join(rig.root, 'a', 'precious.txt'), 'x');
    await expect(rig.make().prepare(inWorkspace('a'))).rejects.toMatchObject({
      message: /is a plain folder already/,
    });
    expect(readdirSync(join(rig.root, 'a'))).toEqual(['precious.txt']);
  });

  test('runs no hook of the repository', async () => {
    const hook = join(rig.repository, '.git/hooks/post-checkout');
    writeFileSync(hook, `#!/bin/sh\ntouch ${join(rig.repository, 'hooked')}\n`, { mode: 0o755 });
    (await rig.make().prepare(inWorkspace('a'))).release();
    expect(existsSync(join(rig.repository, 'hooked'))).toBe(false);
  });

  test('fails a turn, with the figures, where there is too little room', async () => {
    await expect(
      rig.make({ diskFloorBytes: Number.MAX_SAFE_INTEGER }).prepare(inWorkspace('a')),
    ).rejects.toMatchObject({
      code: 'DISK_FLOOR',
      message: /only \d+ bytes are free in .*, and 9007199254740991 have to be/,
    });
    expect(readdirSync(rig.root)).toEqual([]);
  });
});

describe('an interruption', () => {
  const begun = (state: 'creating' | 'removing') => {
    const baseCommit = git(rig.repository, 'rev-parse', 'HEAD');
    createWorktreeRecords(rig.root).write('a', {
      state,
      repository: rig.repository,
      branch: 'fleetlog/a',
      baseRef: null,
      baseCommit,
      linked: [],
      createdAt: 0,
      usedAt: 0,
    });
  };

  test.each<[string, () => void]>([
    ['before git was called', () => undefined],
    [
      'while git checked out',
      () => {
        git(rig.repository, 'worktree', 'add', '-q', '-b', 'fleetlog/a', join(rig.root, 'a'), 'HEAD');
        writeFileSync(join(rig.repository, '.git/worktrees/a/locked'), 'initializing');
        rmSync(join(rig.root, 'a', 'README.md'));
      },
    ],
    [
      'after git, before the links',
      () =>
        void git(rig.repository, 'worktree', 'add', '-q', '-b', 'fleetlog/a', join(rig.root, 'a'), 'HEAD'),
    ],
    ['with only the branch made', () => void git(rig.repository, 'branch', 'fleetlog/a', 'HEAD')],
    [
      'with a folder that git no longer knows',
      () => {
        git(rig.repository, 'worktree', 'add', '-q', '-b', 'fleetlog/a', join(rig.root, 'a'), 'HEAD');
        rmSync(join(rig.repository, '.git/worktrees'), { recursive: true });
      },
    ],
  ])(
    'of its making %s is mended by the next turn, and cleaned up by the next start',
    async (_, interrupt) => {
      begun('creating');
      interrupt();
      expect((await rig.make().tidy()).map(({ name }) => name)).toEqual(['a']);
      expect(existsSync(join(rig.root, 'a'))).toBe(false);
      expect(rig.branches()).toEqual(['main']);
      begun('creating');
      interrupt();
      const { path, release } = await rig.make().prepare(inWorkspace('a'));
      expect(readFileSync(join(path, 'README.md'), 'utf8')).toBe('hello\n');
      expect(git(path, 'branch', '--show-current')).toBe('fleetlog/a');
      release();
    },
  );

  test('of its removal is finished by the next start', async () => {
    const { path, release } = await rig.make().prepare(inWorkspace('a'));
    release();
    begun('removing');
    rmSync(join(path, 'README.md'));
    await rig.make().tidy();
    expect(existsSync(path)).toBe(false);
    expect(rig.branches()).toEqual(['main']);
  });

  test('of its removal leaves a branch that has moved since it was looked at', async () => {
    const { path, release } = await rig.make().prepare(inWorkspace('a'));
    release();
    begun('removing');
    const tip = commitFiles(path, { n: '1' });
    await rig.make().tidy();
    expect(git(rig.repository, 'rev-parse', 'fleetlog/a')).toBe(tip);
  });

  test('a folder that somebody removed by hand is made again from its branch', async () => {
    const first = await rig.make().prepare(inWorkspace('a'));
    const tip = commitFiles(first.path, { n: '1' });
    first.release();
    rmSync(first.path, { recursive: true });
    expect((await onlyOne(rig.clean())).verdict).toMatchObject({
      remove: false,
      reason: 'its folder is not there; its branch is',
    });
    const again = await rig.make().prepare(inWorkspace('a'));
    expect(git(again.path, 'rev-parse', 'HEAD')).toBe(tip);
    again.release();
  });

  test('a record that cannot be read keeps the workspace, and refuses the turn', async () => {
    const { path, release } = await rig.make().prepare(inWorkspace('a'));
    release();
    writeFileSync(join(rig.root, '.fleetlog/a.json'), '{"state":');
    expect((await onlyOne(rig.clean())).verdict.remove).toBe(false);
    expect(existsSync(path)).toBe(true);
    await expect(rig.make().prepare(inWorkspace('a'))).rejects.toMatchObject({ code: 'WORKSPACE_INVALID' });
  });
});
