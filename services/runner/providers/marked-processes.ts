// Finds and ends the processes that bear a mark in their environment: what a turn has started and left behind, also when it
// has left its process group. Sees processes of the same user only. Never touches a process without the mark, nor this one.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '#libs/ports/clock.ts';

const run = promisify(execFile);

const bears = (pid: number, mark: Buffer): boolean => {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    const at = environment.indexOf(mark);
    return at === 0 || (at > 0 && environment[at - 1] === 0);
  } catch {
    // Gone, or somebody else's.
    return false;
  }
};

const onLinux = (mark: string): number[] => {
  const bytes = Buffer.from(`${mark}\0`);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && bears(pid, bytes));
};

/** Elsewhere `ps` shows the environment behind the command, words apart by blanks. */
const byListing = async (mark: string): Promise<number[]> => {
  const { stdout } = await run('ps', ['-axEww', '-o', 'pid=,command='], { maxBuffer: 64 * 1024 * 1024 });
  return stdout
    .split('\n')
    .filter((line) => ` ${line} `.includes(` ${mark} `))
    .map((line) => Number.parseInt(line, 10))
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid);
};

/** Ids of the living processes whose environment has `mark` (`NAME=value`). */
export const findMarked = async (mark: string): Promise<number[]> =>
  process.platform === 'linux' ? onLinux(mark) : byListing(mark);

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch {
    // It has gone by itself.
  }
};

const NOBODY: ReadonlySet<number> = new Set();

/** Between two looks, ms: the first is soon, because most programs go at once. */
const LOOKS_MS = [5, 10, 20, 50, 100, 100, 100, 200];

/**
 * Ends every process that bears `mark`: SIGTERM, after `killAfterMs` SIGKILL, until none is left (also those that are started
 * meanwhile). Resolves with how many there were. Gives up after `killAfterMs` + 5 s (a process stuck in the kernel). Those in `spared`
 * are left alone.
 */
export const sweepMarked = async (
  mark: string,
  clock: Clock,
  killAfterMs: number,
  spared: ReadonlySet<number> = NOBODY,
): Promise<number> => {
  const seen = new Set<number>();
  const startedMs = clock.monotonicMs();
  for (let look = 0; ; look += 1) {
    const found = (await findMarked(mark)).filter((pid) => !spared.has(pid));
    const elapsedMs = clock.monotonicMs() - startedMs;
    if (found.length === 0 || elapsedMs > killAfterMs + 5000) return seen.size;
    for (const pid of found) {
      if (elapsedMs >= killAfterMs) signal(pid, 'SIGKILL');
      else if (!seen.has(pid)) signal(pid, 'SIGTERM');
      seen.add(pid);
    }
    const waitMs = LOOKS_MS[look] ?? 200;
    await clock.sleep(elapsedMs < killAfterMs ? Math.min(waitMs, killAfterMs - elapsedMs) : waitMs);
  }
};
