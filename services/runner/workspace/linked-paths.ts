// The paths that an isolated workspace has in common with the main checkout: untracked there, so git does not bring them, and linked. Tracked
// paths, and paths that are not there, are passed over. Nothing is followed out of the checkout.
import { existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { WorkspaceFacts } from './workspace-notes.ts';

/** Folders that package managers fill. */
const DEPENDENCIES: ReadonlySet<string> = new Set([
  'node_modules',
  'vendor',
  '.venv',
  'venv',
  'bower_components',
  'Pods',
  'deps',
]);

/** A path as it stands in git's own lists. Fault: `WORKSPACE_INVALID` (never), when it leads out of the checkout. */
export const sharedPath = (path: string): string => {
  const plain = normalize(path).replace(/\/$/, '');
  if (
    path === '' ||
    isAbsolute(plain) ||
    plain === '.' ||
    plain === '..' ||
    plain.startsWith('../') ||
    /^\.git(?:\/|$)/.test(plain)
  )
    throw new Fault({
      code: 'WORKSPACE_INVALID',
      retry: 'never',
      message: `${JSON.stringify(path)} cannot be shared: expected a path inside the checkout, such as node_modules (runner.sharedPaths)`,
    });
  return plain;
};

const isLinkTo = (path: string, target: string): boolean => {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  return facts?.isSymbolicLink() === true && readlinkSync(path) === target;
};

/** Links what can be linked. Returns what is linked now. A repeat changes nothing. */
export const linkPaths = (
  workspace: string,
  repository: string,
  paths: readonly string[],
): readonly string[] =>
  paths.filter((path) => {
    const [from, to] = [join(workspace, path), join(repository, path)];
    if (isLinkTo(from, to)) return true;
    if (!existsSync(to) || lstatSync(from, { throwIfNoEntry: false }) !== undefined) return false;
    mkdirSync(dirname(from), { recursive: true });
    symlinkSync(to, from);
    return true;
  });

/** Takes the links away (never what they lead to). */
export const unlinkPaths = (workspace: string, repository: string, paths: readonly string[]): void => {
  for (const path of paths)
    if (isLinkTo(join(workspace, path), join(repository, path))) unlinkSync(join(workspace, path));
};

const isDependencyFolder = (path: string): boolean => DEPENDENCIES.has(basename(path));

/** The facts for the agent: `linked` paths, and whether the main checkout has dependencies that are not among them. */
export const factsOf = (workspace: string, repository: string, linked: readonly string[]): WorkspaceFacts => {
  const isLinked = linked.some((path) => isDependencyFolder(path));
  const isAbsent = [...DEPENDENCIES].some(
    (name) => existsSync(join(repository, name)) && !existsSync(join(workspace, name)),
  );
  return {
    mode: 'isolated',
    deps: { mode: isLinked ? 'linked' : isAbsent ? 'absent' : 'own' },
    symlinks: { linked: [...linked] },
  };
};
