// The programs of providers on this machine: where they are, and which version they say they have. Never starts a turn.
import { execFile } from 'node:child_process';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
};

/** The path of a program: itself where it is a path, otherwise the first of that name in `searchPath`. Undefined: there is none. */
export const findProgram = (name: string, searchPath: string | undefined): string | undefined => {
  if (isAbsolute(name) || name.includes('/')) return isProgram(name) ? name : undefined;
  return (searchPath ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isProgram);
};

/** A program that does not say its version within this time has none. */
const ANSWER_MS = 10_000;
const VERSION_CHARACTERS = 100;

const ask = (program: string, environment: Readonly<Record<string, string>>): Promise<string | undefined> =>
  new Promise((resolve) => {
    const options = { env: { ...environment }, timeout: ANSWER_MS, killSignal: 'SIGKILL' } as const;
    const child = execFile(program, ['--version'], options, (error, stdout) => {
      const [line = ''] = stdout.split('\n');
      const version = /\d+\.\d+\.\d+[\w.+-]*/.exec(line)?.[0] ?? line.trim();
      resolve(error !== null || version === '' ? undefined : version.slice(0, VERSION_CHARACTERS));
    });
    child.stdin?.on('error', () => undefined).end();
  });

/** What names a program on disk: another one in its place has another. */
const fileOf = (program: string): string | undefined => {
  try {
    const path = realpathSync(program);
    const { mtimeMs, size } = statSync(path);
    return `${path} ${mtimeMs} ${size}`;
  } catch {
    return undefined;
  }
};

export interface ProgramVersions {
  /** Undefined: it does not say. Asked once for each file: an update is noticed. Never rejects. */
  of(program: string, environment: Readonly<Record<string, string>>): Promise<string | undefined>;
}

export const createProgramVersions = (): ProgramVersions => {
  const known = new Map<string, { readonly file: string; readonly version: Promise<string | undefined> }>();
  return {
    of: async (program, environment) => {
      const file = fileOf(program);
      if (file === undefined) return undefined;
      const before = known.get(program);
      if (before?.file === file) return before.version;
      const version = ask(program, environment);
      known.set(program, { file, version });
      const said = await version;
      // No answer may have been a moment's trouble.
      if (said === undefined) known.delete(program);
      return said;
    },
  };
};
