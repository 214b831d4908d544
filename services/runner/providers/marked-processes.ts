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

/** What the system counted at one moment; process ids grow from here on. */
export interface Birth {
  /** The last process id that was given. */
  readonly lastPid: number;
  /** Processes and threads that were started since the system's own start. */
  readonly forks: number;
}

const numberIn = (path: string, pattern: RegExp): number => {
  try {
    return Number(pattern.exec(readFileSync(path, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
};
const forksNow = (): number => numberIn('/proc/stat', /^processes (\d+)$/m);

/** To be noted before a process is started whose descendants are to be found; undefined where the system does not count. */
export const noteBirth = (): Birth | undefined => {
  const lastPid = numberIn('/proc/loadavg', / (\d+)\s*$/);
  const forks = forksNow();
  return lastPid === 0 || forks === 0 ? undefined : { lastPid, forks };
};

/** Started while the ids were being listed. */
const FORKS_MEANWHILE = 1000;

/**
 * The lowest id that a process of this birth or later can have. Ids are given in turn, so all of them are above the last one before,
 * unless so many were started since that the ids may have begun anew.
 */
const lowestPid = (since: Birth | undefined): number => {
  if (since === undefined) return 0;
  const started = forksNow() - since.forks;
  const highest = numberIn('/proc/sys/kernel/pid_max', /^(\d+)/);
  return started > 0 && since.lastPid + started + FORKS_MEANWHILE < highest ? since.lastPid + 1 : 0;
};

/** Reading an environment costs 30 µs: those of older processes are left alone (a machine has hundreds). */
const onLinux = (mark: string, since: Birth | undefined): number[] => {
  const bytes = Buffer.from(`${mark}\0`);
  const lowest = lowestPid(since);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid >= lowest && pid !== process.pid && bears(pid, bytes));
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

/** Ids of the living processes whose environment has `mark` (`NAME=value`), of those that were started since `since` if it is given. */
export const findMarked = async (mark: string, since?: Birth): Promise<number[]> =>
  process.platform === 'linux' ? onLinux(mark, since) : byListing(mark);

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

/** Which processes a sweep is about. */
interface SweepRange {
  readonly spared?: ReadonlySet<number>;
  readonly since?: Birth | undefined;
}

/**
 * Ends every process that bears `mark`: SIGTERM, after `killAfterMs` SIGKILL, until none is left (also those that are started
 * meanwhile). Resolves with how many there were. Gives up after `killAfterMs` + 5 s (a process stuck in the kernel). Those in `spared`
 * are left alone; `since` is as in {@link findMarked}.
 */
export const sweepMarked = async (
  mark: string,
  clock: Clock,
  killAfterMs: number,
  { spared = NOBODY, since }: SweepRange = {},
): Promise<number> => {
  const seen = new Set<number>();
  const startedMs = clock.monotonicMs();
  for (let look = 0; ; look += 1) {
    const found = (await findMarked(mark, since)).filter((pid) => !spared.has(pid));
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
