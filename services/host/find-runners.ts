// The runners of a host among the processes of this machine, by the marks in their environment: those that its journal knows of and
// those that it does not. Sees processes of the same user only.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { HOST_MARK, SPAWN_MARK } from './launch.ts';

const run = promisify(execFile);

export interface FoundRunner {
  readonly pid: number;
  /** As its environment says. */
  readonly spawnId: string | undefined;
}

const environmentText = async (pid: number): Promise<string> => {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/environ`, 'utf8');
    const { stdout } = await run('ps', ['-Eww', '-o', 'command=', '-p', String(pid)]);
    return stdout.replaceAll(' ', '\0');
  } catch {
    return '';
  }
};

const spawnIdOf = (environment: string): string | undefined =>
  environment
    .split('\0')
    .find((one) => one.startsWith(`${SPAWN_MARK}=spw_`))
    ?.slice(SPAWN_MARK.length + 1);

/** One process a spawn: the oldest, which is the runner itself. */
export const findRunners = async (hostMark: string): Promise<readonly FoundRunner[]> => {
  const pids = (await findMarked(`${HOST_MARK}=${hostMark}`)).toSorted((a, b) => a - b);
  const found: FoundRunner[] = [];
  for (const pid of pids) {
    const spawnId = spawnIdOf(await environmentText(pid));
    if (spawnId === undefined || !found.some((one) => one.spawnId === spawnId)) found.push({ pid, spawnId });
  }
  return found;
};
