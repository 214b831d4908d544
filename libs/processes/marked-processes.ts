// Finds and ends the processes that bear a mark in their environment: what a turn has started and left behind, also when it
// has left its process group. Sees processes of the same user only. Never touches a process without the mark, nor this one.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '#libs/ports/clock.ts';
import { isSettledSince, livingSince, lowestPid, settle, type Birth } from './process-ids.ts';

const run = promisify(execFile);

/** What the process bears under the name of a mark, as `NAME=value`; undefined: nothing, or it is gone, or somebody else's. */
const borne = (pid: number, name: Buffer): string | undefined => {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    for (let at = environment.indexOf(name); at !== -1; at = environment.indexOf(name, at + 1))
      if (at === 0 || environment[at - 1] === 0) {
        const end = environment.indexOf(0, at);
        return environment.toString('utf8', at, end === -1 ? undefined : end);
      }
    return undefined;
  } catch {
    return undefined;
  }
};

const listed = (lowest: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid >= lowest);

/**
 * Reading an environment costs 30 µs: those of older processes are left alone (a machine has hundreds), and those that are known to be
 * another turn's (32 turns at once would look at each other again and again).
 */
const onLinux = (mark: string, since: Birth | undefined): number[] => {
  const name = Buffer.from(mark.slice(0, mark.indexOf('=') + 1));
  const lowest = since === undefined ? 0 : lowestPid(since);
  const isNew = since !== undefined && lowest > 0;
  const tried = isNew ? livingSince(since, lowest, mark) : undefined;
  const found = (tried ?? listed(lowest)).filter((pid) => {
    if (pid === process.pid || (isNew && isSettledSince(since, pid, mark))) return false;
    const bears = borne(pid, name);
    if (bears !== undefined && bears !== mark && isNew) settle(pid, bears);
    return bears === mark;
  });
  if (tried === undefined || found.length === 0) return found;
  // Threads have ids as well, and only processes are listed.
  const processes = new Set(listed(lowest));
  return found.filter((pid) => processes.has(pid));
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
