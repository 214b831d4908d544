// Tells one process from a later one that got the same number, by its start time.
// Does not signal anything; see stop-process.ts.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A process and when it started, in the platform's own words: compare for equality only. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly started: string;
}

/** `man 5 proc`: the start time is field 22; the fields after the parenthesised name begin with the state, field 3. */
const STATE_FIELD = 0;
const START_FIELD = 19;

const startOnLinux = (pid: number): string | undefined => {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A zombie has ended; only its parent has not looked yet.
  const state = fields[STATE_FIELD];
  return state === 'Z' || state === 'X' ? undefined : fields[START_FIELD];
};

const startElsewhere = (pid: number): string | undefined => {
  try {
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return started === '' ? undefined : started;
  } catch {
    return undefined;
  }
};

/** The identity of a living process, or undefined when there is none of that number. */
export const identifyProcess = (pid: number): ProcessIdentity | undefined => {
  const started = process.platform === 'linux' ? startOnLinux(pid) : startElsewhere(pid);
  return started === undefined ? undefined : { pid, started };
};

/** Whether that very process still runs (a reused number does not count). */
export const isAlive = (identity: ProcessIdentity): boolean =>
  identifyProcess(identity.pid)?.started === identity.started;

/**
 * Whether every thread of the process is stopped (SIGSTOP has taken effect; sending it does not wait for that).
 * Always true where the system does not tell.
 */
export const isFrozen = (pid: number): boolean => {
  if (process.platform !== 'linux') return true;
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
      return stat[stat.lastIndexOf(')') + 2] === 'T';
    });
  } catch {
    return true;
  }
};
