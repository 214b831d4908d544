// Every workspace below a root: what it is, whether it may be taken away, and taking away those that may. Never takes away what somebody
// made and nothing else holds, nor what is in use; what it takes away was looked at under the workspace's lock.
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { toFault } from '#libs/kernel/fault.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { judge, type Verdict, type WorkspaceCondition } from './clean.policy.ts';
import { findingsOf, keptElsewhere, tipOf } from './worktree-findings.ts';
import { recordOf, takeAway, type WorktreeParts } from './worktree-making.ts';
import { tryLock } from './workspace-lock.ts';
import type { WorktreeRecord } from './worktree-record.ts';

/** Commits that only a worktree's own history knows are kept under this name when it goes. */
const RESCUED = 'refs/fleetlog/rescued';
const MOST_RESCUED = 100;

/** A workspace, and what becomes of it. */
export interface ListedWorkspace {
  readonly name: string;
  readonly path: string;
  readonly kind: 'worktree' | 'folder';
  readonly repository: string | null;
  readonly branch: string | null;
  readonly usedAt: number | null;
  readonly condition: WorkspaceCondition;
  readonly verdict: Verdict;
}

/** Which workspaces, and how far to go. */
export interface CleanChoice {
  /** Undefined: all. */
  readonly names?: readonly string[];
  readonly olderThanMs: number;
  /** Only say what would be done. */
  readonly isDry: boolean;
}

const problemOf = (error: unknown): string => toFault(error).message;

/** Commits that were made here and belong to no branch (any more): amended, reset or made beside every branch. */
const rescue = async (
  { git, root }: WorktreeParts,
  name: string,
  { branch, repository }: WorktreeRecord,
): Promise<void> => {
  const path = join(root, name);
  const history = await git.run(path, 'log', '--walk-reflogs', '--format=%H', 'HEAD', '--');
  const known = [...new Set(history.split('\n').filter((line) => line !== ''))].slice(0, MOST_RESCUED);
  if (known.length === 0) return;
  const loose = new Set((await git.run(path, 'rev-list', ...known, ...keptElsewhere(branch))).split('\n'));
  for (const commit of known)
    if (loose.has(commit))
      await git.run(repository, 'update-ref', `${RESCUED}/${name}/${commit.slice(0, 12)}`, commit);
};

const conditionOf = async (
  parts: WorktreeParts,
  name: string,
  record: WorktreeRecord,
  olderThanMs: number,
): Promise<WorkspaceCondition> => {
  const { git, records, root, clock } = parts;
  const path = join(root, name);
  try {
    if (record.state !== 'ready') return { kind: 'left-over' };
    // A clock that was turned back makes nothing older.
    if (Math.max(0, clock.now() - record.usedAt) < olderThanMs) return { kind: 'recent' };
    if (!existsSync(path)) return { kind: 'unreadable', problem: 'its folder is not there; its branch is' };
    // What a runner that died left running holds no lock.
    const running = await findMarked(`FLEETLOG_WORKSPACE=${path}`);
    if (running.length > 0) return { kind: 'in-use' };
    const place = { git, path, record, excludePath: records.excludePath(name) };
    return { kind: 'idle', findings: await findingsOf(place) };
  } catch (error) {
    return { kind: 'unreadable', problem: problemOf(error) };
  }
};

const remove = async (parts: WorktreeParts, name: string, record: WorktreeRecord): Promise<void> => {
  if (record.state === 'ready') await rescue(parts, name, record);
  // Of one whose removal was interrupted: the tip that was looked at then.
  const tip =
    record.state === 'ready' ? await tipOf(parts.git, record.repository, record.branch) : record.baseCommit;
  // From here on a repeat finishes it, whatever is left: `baseCommit` says which branch tip was looked at.
  const removing: WorktreeRecord = { ...record, state: 'removing', baseCommit: tip ?? record.baseCommit };
  parts.records.write(name, removing);
  await takeAway(parts, name, removing, removing.baseCommit);
};

const visit = async (
  parts: WorktreeParts,
  name: string,
  { olderThanMs, isDry }: CleanChoice,
): Promise<ListedWorkspace> => {
  const about = {
    name,
    path: join(parts.root, name),
    kind: 'worktree',
    repository: null,
    branch: null,
    usedAt: null,
  } as const;
  const told = (condition: WorkspaceCondition, record?: WorktreeRecord): ListedWorkspace => ({
    ...about,
    ...(record !== undefined && {
      repository: record.repository,
      branch: record.branch,
      usedAt: record.usedAt,
    }),
    condition,
    verdict: judge(condition),
  });
  const lock = tryLock(parts.records.lockPath(name));
  if (lock === undefined) return told({ kind: 'in-use' });
  try {
    const record = recordOf(parts.records, name);
    if (record === undefined) return told({ kind: 'unreadable', problem: 'it has just gone' });
    const listed = told(await conditionOf(parts, name, record, olderThanMs), record);
    if (!listed.verdict.remove || isDry) return listed;
    await remove(parts, name, record);
    lock.releaseForGood();
    return listed;
  } catch (error) {
    return told({ kind: 'unreadable', problem: problemOf(error) });
  } finally {
    lock.release();
  }
};

const folders = (root: string): readonly string[] =>
  existsSync(root)
    ? readdirSync(root).filter((name) => !name.startsWith('.') && lstatSync(join(root, name)).isDirectory())
    : [];

/** Looks at the workspaces chosen and takes away, unless dry, those whose verdict says so. In order of name. Never throws for one of them. */
export const cleanWorkspaces = async (
  parts: WorktreeParts,
  choice: CleanChoice,
): Promise<readonly ListedWorkspace[]> => {
  const { names } = choice;
  const isChosen = (name: string): boolean => names === undefined || names.includes(name);
  const worktrees = parts.records.names();
  const plain = folders(parts.root).filter((name) => !worktrees.includes(name));
  const listed: ListedWorkspace[] = [];
  for (const name of worktrees.filter((one) => isChosen(one))) listed.push(await visit(parts, name, choice));
  const condition = { kind: 'folder' } as const;
  const nothing = { repository: null, branch: null, usedAt: null };
  for (const name of plain.filter((one) => isChosen(one)))
    listed.push({
      name,
      path: join(parts.root, name),
      kind: 'folder',
      ...nothing,
      condition,
      verdict: judge(condition),
    });
  return listed.toSorted((one, other) => (one.name < other.name ? -1 : 1));
};
