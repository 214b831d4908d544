// Where each turn works: a plain folder, or an isolated git worktree that is locked while the turn is in it. Checks first that there is room.
// One turn at a time in a workspace is its caller's to see to within a process; between processes the lock does it for worktrees.
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, isAbsolute } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { cleanWorkspaces, type ListedWorkspace } from './worktree-catalogue.ts';
import { checkFloor } from './disk-floor.ts';
import { checkName, prepareFolder } from './folders.ts';
import { createGit } from './git.ts';
import { factsOf, sharedPath } from './linked-paths.ts';
import { WORKSPACE_FACTS, type WorkspaceFacts } from './workspace-notes.ts';
import { tryLock, type WorkspaceLock } from './workspace-lock.ts';
import { makeWorktree, recordOf, type WantedWorktree, type WorktreeParts } from './worktree-making.ts';
import { createWorktreeRecords } from './worktree-record.ts';

/** Where a turn works. */
export interface Workspace {
  /** Real path. */
  readonly path: string;
  /** Variables that its program gets. */
  readonly environment: Readonly<Record<string, string>>;
  /** The turn is over. Harmless when repeated. */
  readonly release: () => void;
}

/** The settings that say where turns work. */
export interface WorkspaceRules {
  readonly agent: string;
  readonly workspaceRoot: string;
  readonly dataDir: string;
  readonly isolation: 'folder' | 'worktree';
  readonly worktreePer: 'session' | 'agent';
  /** `path` or `name=path`; the first is the default. */
  readonly repositories: readonly string[];
  readonly baseBranch?: string | undefined;
  readonly sharedPaths: readonly string[];
  readonly diskFloorBytes: number;
  /** 0: never by itself. */
  readonly cleanAfterMs: number;
}

export interface Workspaces {
  /** The name of the workspace of a turn. */
  readonly nameOf: (instruction: TurnInstruction) => string;
  /** Makes it ready. Faults: `DISK_FLOOR`, `WORKSPACE_INVALID`, `WORKSPACE_BUSY`, `GIT_FAILED` (never), and what the file system throws. */
  readonly prepare: (instruction: TurnInstruction) => Promise<Workspace>;
  /** Takes away what was left over, and, where the settings say so, what has long been merged. Resolves with what went. */
  tidy(): Promise<readonly ListedWorkspace[]>;
}

export interface WorkspacesParts {
  readonly rules: WorkspaceRules;
  readonly clock: Clock;
  /** The environment of the runner's own process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Somebody who cleans up holds a workspace for a moment. */
const LOCK_WAIT_MS = 60_000;
const LOCK_LOOK_MS = 100;

const invalid = (message: string): Fault => new Fault({ code: 'WORKSPACE_INVALID', retry: 'never', message });

/** Name → path. Fault: `WORKSPACE_INVALID`, for what is no absolute path. */
const repositoriesOf = (entries: readonly string[]): ReadonlyMap<string, string> =>
  new Map(
    entries.map((entry) => {
      const at = entry.startsWith('/') ? -1 : entry.indexOf('=');
      const path = entry.slice(at + 1);
      if (!isAbsolute(path))
        throw invalid(`runner.repositories: ${JSON.stringify(entry)} is no absolute path, and no name=path`);
      return [at === -1 ? basename(path) : entry.slice(0, at), path];
    }),
  );

/** What a worktree below `root` is made and cleaned with; the root is made when it is missing. */
export const worktreeParts = (
  root: string,
  { clock, environment }: Omit<WorkspacesParts, 'rules'>,
): WorktreeParts => {
  mkdirSync(root, { recursive: true });
  const real = realpathSync(root);
  return { git: createGit(environment), clock, records: createWorktreeRecords(real), root: real };
};

const factsVariables = (facts: WorkspaceFacts): Record<string, string> => ({
  [WORKSPACE_FACTS]: JSON.stringify(facts),
});
const FOLDER: WorkspaceFacts = { mode: 'folder', deps: { mode: 'own' }, symlinks: { linked: [] } };

class RunnerWorkspaces implements Workspaces {
  readonly nameOf: Workspaces['nameOf'];
  readonly prepare: Workspaces['prepare'];
  readonly #parts: WorkspacesParts;
  readonly #repositories: ReadonlyMap<string, string>;
  readonly #sharedPaths: readonly string[];

  constructor(parts: WorkspacesParts) {
    const { rules } = parts;
    this.#parts = parts;
    this.#repositories = repositoriesOf(rules.repositories);
    this.#sharedPaths = rules.sharedPaths.map((path) => sharedPath(path));
    this.nameOf = (instruction) =>
      instruction.request.workspace ??
      (this.#isIsolated(instruction) && rules.worktreePer === 'agent' ? rules.agent : instruction.sessionId);
    this.prepare = (instruction) => this.#prepare(instruction);
  }

  async tidy(): Promise<readonly ListedWorkspace[]> {
    const { rules } = this.#parts;
    const parts = worktreeParts(rules.workspaceRoot, this.#parts);
    if (parts.records.names().length === 0) return [];
    const olderThanMs = rules.cleanAfterMs === 0 ? Number.POSITIVE_INFINITY : rules.cleanAfterMs;
    const listed = await cleanWorkspaces(parts, { olderThanMs, isDry: false });
    return listed.filter(({ verdict }) => verdict.remove);
  }

  #isIsolated({ request }: TurnInstruction): boolean {
    return this.#parts.rules.isolation === 'worktree' || request.checkout !== undefined;
  }

  async #prepare(instruction: TurnInstruction): Promise<Workspace> {
    const { workspaceRoot, dataDir, diskFloorBytes } = this.#parts.rules;
    if (!existsSync(workspaceRoot)) mkdirSync(workspaceRoot, { recursive: true });
    await checkFloor([workspaceRoot, dataDir], diskFloorBytes);
    const name = this.nameOf(instruction);
    checkName(name);
    const isWorktree = createWorktreeRecords(workspaceRoot).names().includes(name);
    if (isWorktree || this.#isIsolated(instruction)) return this.#isolated(name, instruction);
    const path = prepareFolder(workspaceRoot, name);
    return { path, environment: factsVariables(FOLDER), release: () => undefined };
  }

  async #isolated(name: string, { request }: TurnInstruction): Promise<Workspace> {
    const parts = worktreeParts(this.#parts.rules.workspaceRoot, this.#parts);
    const lock = await this.#lock(parts, name);
    try {
      const wanted = this.#wanted(parts, name, request.checkout);
      const { linked, repository } = await makeWorktree(parts, wanted);
      const path = prepareFolder(parts.root, name);
      const excludes = {
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'core.excludesFile',
        GIT_CONFIG_VALUE_0: parts.records.excludePath(name),
      };
      const facts = factsVariables(factsOf(path, repository, linked));
      return { path, environment: { ...facts, ...excludes }, release: () => lock.release() };
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** A run that asks for nothing goes on in the worktree that has its workspace's name. */
  #wanted(
    { records }: WorktreeParts,
    name: string,
    checkout: TurnInstruction['request']['checkout'],
  ): WantedWorktree {
    const known = recordOf(records, name);
    const isAsked = checkout?.repository !== undefined || known === undefined;
    const repository = isAsked ? this.#repository(checkout?.repository) : known.repository;
    const baseRef = checkout?.branch ?? (known === undefined ? (this.#parts.rules.baseBranch ?? null) : null);
    return { name, repository, baseRef, shared: this.#sharedPaths };
  }

  #repository(name: string | undefined): string {
    const known = [...this.#repositories.keys()].join(', ') || 'none: see runner.repositories';
    const path = name === undefined ? this.#repositories.values().next().value : this.#repositories.get(name);
    if (path === undefined) throw invalid(`this runner has no repository ${name ?? ''} (it has ${known})`);
    try {
      return realpathSync(path);
    } catch {
      throw invalid(`the repository ${path} is not there`);
    }
  }

  async #lock(parts: WorktreeParts, name: string): Promise<WorkspaceLock> {
    for (let waitedMs = 0; waitedMs <= LOCK_WAIT_MS; waitedMs += LOCK_LOOK_MS) {
      const lock = tryLock(parts.records.lockPath(name));
      if (lock !== undefined) return lock;
      await this.#parts.clock.sleep(LOCK_LOOK_MS);
    }
    throw new Fault({
      code: 'WORKSPACE_BUSY',
      retry: 'never',
      message: `the workspace ${name} is in use by another process`,
    });
  }
}

/** Fault: `WORKSPACE_INVALID` (never), for settings that cannot be. */
export const createWorkspaces = (parts: WorkspacesParts): Workspaces => new RunnerWorkspaces(parts);
