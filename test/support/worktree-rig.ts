// Workspaces of a runner with a git repository of their own, for tests.
import { expect } from 'vitest';
import type { ManualClock } from '#libs/memory/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import {
  createWorkspaces,
  worktreeParts,
  type WorkspaceRules,
  type Workspaces,
} from '#services/runner/workspace/workspaces.ts';
import { cleanWorkspaces, type ListedWorkspace } from '#services/runner/workspace/worktree-catalogue.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { scratchDir } from './broker.ts';
import { git, gitRepository } from './git-repository.ts';

export interface WorktreeRig {
  readonly repository: string;
  readonly root: string;
  readonly clock: ManualClock;
  readonly make: (rules?: Partial<WorkspaceRules>) => Workspaces;
  readonly clean: (choice?: {
    names?: string[];
    olderThanMs?: number;
    isDry?: boolean;
  }) => Promise<readonly ListedWorkspace[]>;
  readonly branches: () => string[];
}

export const worktreeRig = (): WorktreeRig => {
  const repository = gitRepository();
  const root = scratchDir('workspaces');
  const clock = createManualClock();
  const environment = readEnvironment();
  const usual = {
    agent: 'builder-1',
    workspaceRoot: root,
    dataDir: root,
    isolation: 'worktree',
    worktreePer: 'session',
    repositories: [repository],
    sharedPaths: ['node_modules', 'data', 'absent', 'README.md'],
    diskFloorBytes: 0,
    cleanAfterMs: 0,
  } as const;
  return {
    repository,
    root,
    clock,
    make: (rules = {}) => createWorkspaces({ rules: { ...usual, ...rules }, clock, environment }),
    clean: (choice = {}) =>
      cleanWorkspaces(worktreeParts(root, { clock, environment }), {
        olderThanMs: 0,
        isDry: false,
        ...choice,
      }),
    branches: () => git(repository, 'branch', '--format=%(refname:short)').split('\n'),
  };
};

/** A turn that names its workspace. */
export const inWorkspace = (
  workspace: string,
  checkout?: TurnInstruction['request']['checkout'],
): TurnInstruction => ({ sessionId: 'ses-1', request: { workspace, checkout } }) as TurnInstruction;

/** The only one that is listed. */
export const onlyOne = async (listing: Promise<readonly ListedWorkspace[]>): Promise<ListedWorkspace> => {
  const [first, ...more] = await listing;
  expect(more).toEqual([]);
  if (first === undefined) throw new Error('no workspace is listed');
  return first;
};
