// What an isolated workspace holds that exists nowhere else. Asked of git; changes nothing. The caller holds the workspace's lock.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { WorktreeFindings } from './clean.policy.ts';
import type { Git } from './git.ts';
import type { WorktreeRecord } from './worktree-record.ts';

export interface WorktreePlace {
  readonly git: Git;
  readonly path: string;
  readonly record: WorktreeRecord;
  /** Paths that git is to pass over. */
  readonly excludePath: string;
}

/** Begun and not ended, by the file or folder that git keeps meanwhile. */
const OPERATIONS = [
  'MERGE_HEAD',
  'CHERRY_PICK_HEAD',
  'REVERT_HEAD',
  'BISECT_LOG',
  'rebase-merge',
  'rebase-apply',
  'sequencer',
];

/** `rev-list` parameters: all that keeps a commit besides the branch of this workspace. */
export const keptElsewhere = (branch: string): readonly string[] => [
  '--not',
  `--exclude=${branch}`,
  '--branches',
  '--remotes',
  '--tags',
  '--',
];

/** The commit of its branch; undefined: the branch is gone. */
export const tipOf = async (git: Git, repository: string, branch: string): Promise<string | undefined> => {
  const { code, stdout } = await git.ask(
    repository,
    'rev-parse',
    '--verify',
    '--quiet',
    `refs/heads/${branch}^{commit}`,
  );
  return code === 0 ? stdout.trim() : undefined;
};

/** Faults: those of git. */
export const findingsOf = async ({
  git,
  path,
  record,
  excludePath,
}: WorktreePlace): Promise<WorktreeFindings> => {
  const { branch, repository } = record;
  const gitFolder = await git.run(path, 'rev-parse', '--absolute-git-dir');
  const status = await git.run(
    path,
    '-c',
    `core.excludesFile=${excludePath}`,
    'status',
    '--porcelain=v1',
    '-z',
    '--untracked-files=all',
    '--ignore-submodules=none',
    '--no-renames',
  );
  const heads = [
    'HEAD',
    ...((await tipOf(git, repository, branch)) === undefined ? [] : [`refs/heads/${branch}`]),
  ];
  const unmerged = await git.run(path, 'rev-list', '--count', ...heads, ...keptElsewhere(branch));
  return {
    changes: status.split('\0').filter((entry) => entry !== '').length,
    unmerged: Number(unmerged),
    isInOperation: OPERATIONS.some((name) => existsSync(join(gitFolder, name))),
    hasSubmodules: existsSync(join(gitFolder, 'modules')),
  };
};
