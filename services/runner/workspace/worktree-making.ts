// Makes an isolated workspace: a git worktree on a branch of its own, with the shared paths linked. Every step can be interrupted: what was
// begun and not finished is taken back by the next one, because nothing was ever started in it. The caller holds the workspace's lock.
import { lstatSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Git } from './git.ts';
import { linkPaths, unlinkPaths } from './linked-paths.ts';
import { tipOf } from './worktree-findings.ts';
import type { WorktreeRecord, WorktreeRecords } from './worktree-record.ts';

export interface WorktreeParts {
  readonly git: Git;
  readonly clock: Clock;
  readonly records: WorktreeRecords;
  /** Real path of the folder below which workspaces are. */
  readonly root: string;
}

/** What is wanted of a workspace. */
export interface WantedWorktree {
  readonly name: string;
  /** Real path of the main checkout. */
  readonly repository: string;
  /** Null: whatever is checked out there, or what it was begun at. */
  readonly baseRef: string | null;
  readonly shared: readonly string[];
}

const invalid = (message: string, cause?: unknown): Fault =>
  new Fault({ code: 'WORKSPACE_INVALID', retry: 'never', message, cause });

const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** The record; a fault where there is one that cannot be read. */
export const recordOf = (records: WorktreeRecords, name: string): WorktreeRecord | undefined => {
  try {
    return records.read(name);
  } catch (error) {
    throw invalid(`what is known of the workspace ${name} cannot be read`, error);
  }
};

/** Takes the folder and git's own notes of it away, and the branch if it is still at `tip`. What the links lead to stays. */
export const takeAway = async (
  { git, records, root }: WorktreeParts,
  name: string,
  { repository, branch, linked }: WorktreeRecord,
  tip: string,
): Promise<void> => {
  const path = join(root, name);
  unlinkPaths(path, repository, linked);
  // Twice: also one whose making was interrupted, which git has locked.
  await git.ask(repository, 'worktree', 'remove', '--force', '--force', path);
  if (isThere(path)) rmSync(path, { recursive: true });
  if ((await tipOf(git, repository, branch)) === tip)
    await git.ask(repository, 'update-ref', '-d', `refs/heads/${branch}`, tip);
  records.remove(name);
};

/** The person's own excludes, which ours stand in for. */
const ownExcludes = async (git: Git, repository: string): Promise<string> => {
  const { stdout } = await git.ask(repository, 'config', '--type=path', '--get', 'core.excludesFile');
  const path = stdout.trim() === '' ? join(homedir(), '.config', 'git', 'ignore') : stdout.trim();
  return readFile(path, 'utf8').catch(() => '');
};

/** Linked paths are not work: git is told to pass over them, also where the repository only ignores folders of that name. */
const writeExcludes = async (
  { git, records }: WorktreeParts,
  name: string,
  repository: string,
  linked: readonly string[],
): Promise<void> => {
  const own = await ownExcludes(git, repository);
  const ours = linked.map((path) => `/${path}\n`).join('');
  writeFileSync(records.excludePath(name), `${own}\n${ours}`, { mode: 0o600 });
};

const commitOf = async (git: Git, repository: string, ref: string): Promise<string> => {
  const { code, stdout } = await git.ask(
    repository,
    'rev-parse',
    '--verify',
    '--quiet',
    '--end-of-options',
    `${ref}^{commit}`,
  );
  if (code === 0) return stdout.trim();
  throw invalid(`${repository} has no commit ${ref}`);
};

/** Adds the worktree: on its branch where there is one (kept from before), else on a new one. */
const add = async (
  { git, root }: WorktreeParts,
  name: string,
  { repository, branch, baseCommit }: WorktreeRecord,
  isAgain: boolean,
): Promise<void> => {
  const path = join(root, name);
  const known = await tipOf(git, repository, branch);
  const where = known === undefined ? ['-b', branch, path, baseCommit] : [path, branch];
  // Again: git still knows it, though its folder is gone.
  await git.run(repository, 'worktree', 'add', '--quiet', ...(isAgain ? ['--force'] : []), ...where);
};

const begin = async (
  parts: WorktreeParts,
  { name, repository, baseRef }: WantedWorktree,
): Promise<WorktreeRecord> => {
  const { git, clock, records, root } = parts;
  if (isThere(join(root, name)))
    throw invalid(
      `the workspace ${join(root, name)} is a plain folder already: choose another name, or remove it`,
    );
  const now = clock.now();
  const record: WorktreeRecord = {
    state: 'creating',
    repository,
    branch: `fleetlog/${name}`,
    baseRef,
    baseCommit: await commitOf(git, repository, baseRef ?? 'HEAD'),
    linked: [],
    createdAt: now,
    usedAt: now,
  };
  records.write(name, record);
  await add(parts, name, record, false);
  return record;
};

const checkSame = ({ name, repository, baseRef }: WantedWorktree, record: WorktreeRecord): void => {
  if (record.repository !== repository)
    throw invalid(
      `the workspace ${name} is of ${record.repository}, not of ${repository}: choose another name`,
    );
  if (baseRef !== null && baseRef !== record.baseRef)
    throw invalid(
      `the workspace ${name} was begun at ${record.baseRef ?? record.baseCommit}, not at ${baseRef}: choose another name`,
    );
};

/** Makes it, or makes it whole again, or takes it as it is. Faults: `WORKSPACE_INVALID`, `GIT_FAILED` (never), and what the file system throws. */
export const makeWorktree = async (parts: WorktreeParts, wanted: WantedWorktree): Promise<WorktreeRecord> => {
  const { records, root, clock } = parts;
  const { name, repository, shared } = wanted;
  let record = recordOf(records, name);
  if (record !== undefined && record.state !== 'ready') {
    await takeAway(parts, name, record, record.baseCommit);
    record = undefined;
  }
  if (record === undefined) record = await begin(parts, wanted);
  else {
    checkSame(wanted, record);
    if (!isThere(join(root, name))) await add(parts, name, record, true);
  }
  const linked = linkPaths(join(root, name), repository, shared);
  await writeExcludes(parts, name, repository, linked);
  const ready: WorktreeRecord = { ...record, state: 'ready', linked: [...linked], usedAt: clock.now() };
  records.write(name, ready);
  return ready;
};
