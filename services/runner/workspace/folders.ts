// The folders in which programs work: one a workspace, directly below the root. A name cannot lead out of the root, and
// neither can a symbolic link that somebody has put in its place.
import { existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';

/** One path component that is neither hidden nor a way up. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

const invalid = (message: string): Fault => new Fault({ code: 'WORKSPACE_INVALID', retry: 'never', message });

/** Fault: `WORKSPACE_INVALID` (never), for what cannot be a name. */
export const checkName = (name: string): void => {
  if (!NAME.test(name)) throw invalid(`${JSON.stringify(name)} cannot be the name of a workspace`);
};

/**
 * Makes `<root>/<name>` if it is not there. Returns its real path. Faults: `WORKSPACE_INVALID` (never), and what the file system throws.
 * On the event loop: five calls of some µs each (making what is there already costs 85), where a thread for each would cost ten times as much.
 */
export const prepareFolder = (root: string, name: string): string => {
  checkName(name);
  if (!existsSync(root)) mkdirSync(root, { recursive: true });
  const path = join(realpathSync.native(root), name);
  if (!existsSync(path)) mkdirSync(path, { recursive: true });
  const facts = lstatSync(path);
  if (facts.isSymbolicLink() || !facts.isDirectory() || realpathSync.native(path) !== path)
    throw invalid(`the workspace ${path} is not a folder of its own (a link, or something else)`);
  return path;
};
