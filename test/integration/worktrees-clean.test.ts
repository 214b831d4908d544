// Isolated workspaces with the real git, taken away: never with work that nothing else holds, and never while they are in use.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { commitFiles, git } from '#test/support/git-repository.ts';
import { inWorkspace, onlyOne, worktreeRig, type WorktreeRig } from '#test/support/worktree-rig.ts';

let rig: WorktreeRig;
const environment = readEnvironment();
beforeEach(() => {
  rig = worktreeRig();
});

describe('cleaning up', () => {
  const worked = async (name = 'a'): Promise<string> => {
    const { path, release } = await rig.make().prepare(inWorkspace(name));
    release();
    return path;
  };
  const gone = (path: string): void => {
    expect(existsSync(path)).toBe(false);
    expect(rig.branches()).toEqual(['main']);
    expect(git(rig.repository, 'worktree', 'list').split('\n')).toHaveLength(1);
    expect(readdirSync(join(rig.root, '.fleetlog'))).toEqual([]);
    expect(readFileSync(join(rig.repository, 'node_modules/left-pad/index.js'), 'utf8')).toBe('pad\n');
    expect(existsSync(join(rig.repository, 'data/big.csv'))).toBe(true);
  };

  test('takes away what holds nothing of its own, and leaves what the links lead to', async () => {
    const path = await worked();
    writeFileSync(join(path, 'build.log'), 'ignored by the rig.repository');
    expect((await onlyOne(rig.clean({ isDry: true }))).verdict.remove).toBe(true);
    expect(existsSync(path)).toBe(true);
    expect((await onlyOne(rig.clean())).verdict.remove).toBe(true);
    gone(path);
  });

  test.each<[string, RegExp, (path: string) => void]>([
    ['a changed file', /1 uncommitted change/, (path) => writeFileSync(join(path, 'README.md'), 'changed')],
    [
      'a staged file',
      /1 uncommitted change/,
      (path) => (writeFileSync(join(path, 'n'), ''), git(path, 'add', 'n')),
    ],
    ['an untracked file', /1 uncommitted change/, (path) => writeFileSync(join(path, 'new.txt'), '')],
    ['a deleted file', /1 uncommitted change/, (path) => rmSync(join(path, 'README.md'))],
    ['a commit that is not merged', /1 unmerged commit/, (path) => void commitFiles(path, { n: '1' })],
    [
      'a commit beside every branch',
      /1 unmerged commit/,
      (path) => (git(path, 'checkout', '-q', '--detach'), void commitFiles(path, { n: '1' })),
    ],
    [
      'a commit of its branch, with something else checked out',
      /1 unmerged commit/,
      (path) => (commitFiles(path, { n: '1' }), git(path, 'checkout', '-q', '--detach', 'main')),
    ],
    [
      'a merge under way',
      /uncommitted|merge/,
      (path) => {
        const base = git(path, 'rev-parse', 'HEAD');
        commitFiles(rig.repository, { 'README.md': 'theirs' });
        git(path, 'checkout', '-q', '-b', 'mine', base);
        commitFiles(path, { 'README.md': 'ours' });
        try {
          git(path, 'merge', 'main');
        } catch {
          // It conflicts: that is the point.
        }
      },
    ],
  ])('keeps %s', async (_, reason, change) => {
    const path = await worked();
    change(path);
    const before = git(path, 'status', '--porcelain');
    expect((await onlyOne(rig.clean())).verdict).toMatchObject({
      remove: false,
      reason: expect.stringMatching(reason),
    });
    expect(git(path, 'status', '--porcelain')).toBe(before);
  });

  test('takes a workspace away once its work is merged, or kept by another branch', async () => {
    const path = await worked();
    commitFiles(path, { n: '1' });
    git(rig.repository, 'merge', '-q', '--no-ff', '-m', 'merge', 'fleetlog/a');
    expect((await onlyOne(rig.clean())).verdict.remove).toBe(true);
    gone(path);
    const other = await worked('b');
    const tip = commitFiles(other, { m: '1' });
    git(other, 'branch', 'kept');
    expect((await onlyOne(rig.clean())).verdict.remove).toBe(true);
    expect(git(rig.repository, 'rev-parse', 'kept')).toBe(tip);
  });

  test('keeps commits that only its own history knows under a name of their own', async () => {
    const path = await worked();
    const lost = commitFiles(path, { n: '1' });
    git(path, 'reset', '-q', '--hard', 'main');
    expect((await onlyOne(rig.clean())).verdict.remove).toBe(true);
    gone(path);
    expect(git(rig.repository, 'for-each-ref', '--format=%(objectname)', 'refs/fleetlog/rescued/a')).toBe(
      lost,
    );
  });

  test('passes over what is in use, by a turn or by a program that was left running', async () => {
    const { path, release } = await rig.make().prepare(inWorkspace('a'));
    expect((await onlyOne(rig.clean())).condition).toEqual({ kind: 'in-use' });
    release();
    release();
    const left = execFile('sleep', ['60'], { env: { ...environment, FLEETLOG_WORKSPACE: path } });
    expect((await onlyOne(rig.clean())).condition).toEqual({ kind: 'in-use' });
    left.kill('SIGKILL');
    await new Promise((resolve) => left.once('exit', resolve));
    expect((await onlyOne(rig.clean())).verdict.remove).toBe(true);
  });

  test('keeps what was used more recently than asked, and every plain folder', async () => {
    const path = await worked();
    mkdirSync(join(rig.root, 'plain'));
    await rig.clock.advance(1000);
    const recent = await rig.clean({ olderThanMs: 2000 });
    expect(recent.map(({ name, verdict }) => [name, verdict.remove])).toEqual([
      ['a', false],
      ['plain', false],
    ]);
    await rig.clock.advance(1000);
    await rig.clean({ olderThanMs: 2000 });
    expect(existsSync(path)).toBe(false);
    expect(existsSync(join(rig.root, 'plain'))).toBe(true);
  });

  test('is done by the runner itself only for what was long unused, where its settings say so', async () => {
    await worked();
    await rig.clock.advance(100_000);
    expect(await rig.make().tidy()).toEqual([]);
    expect(await rig.make({ cleanAfterMs: 200_000 }).tidy()).toEqual([]);
    expect((await rig.make({ cleanAfterMs: 50_000 }).tidy()).map(({ name }) => name)).toEqual(['a']);
  });
});
