// What Linux says of the ids of processes, cheaply: which was given last, how many were given, and which of those given since a moment
// need not be looked at again. Knows nothing of marks.
import { existsSync, openSync, readFileSync, readSync } from 'node:fs';

/** What the system counted at one moment; process ids grow from here on. */
export interface Birth {
  /** The last process id that was given. */
  readonly lastPid: number;
  /** Processes and threads that were started since the system's own start. */
  readonly forks: number;
  /** Of {@link settledSince}. */
  readonly look?: number;
}

/** Room for the counters of a machine with many processors. */
const ROOM = Buffer.alloc(64 * 1024);
const handles = new Map<string, number>();

/** Kept open: the files of counters are read at the begin and the end of every turn. Throws where there is no such file. */
const contentOf = (path: string): string => {
  const handle = handles.get(path) ?? openSync(path, 'r');
  handles.set(path, handle);
  return ROOM.toString('latin1', 0, readSync(handle, ROOM, 0, ROOM.byteLength, 0));
};

const numberIn = (path: string, pattern: RegExp): number => {
  try {
    return Number(pattern.exec(contentOf(path))?.[1] ?? 0);
  } catch {
    return 0;
  }
};
const forksNow = (): number => numberIn('/proc/stat', /^processes (\d+)$/m);

/** The last process id that was given; 0 where the system does not say. */
const lastPidNow = (): number => numberIn('/proc/loadavg', / (\d+)\s*$/);

/** Of a settled id: in which look, and the mark that it bears (`NAME=value`); null: it has gone. */
interface Settled {
  readonly look: number;
  readonly bears: string | null;
}
let looks = 0;
const settled = new Map<number, Settled>();
/** Ids beyond which the oldest are forgotten: they are looked at again. */
const MOST_SETTLED = 4096;

/** To be noted before a process is started whose descendants are to be found; undefined where the system does not count. */
export const noteBirth = (): Birth | undefined => {
  const lastPid = lastPidNow();
  const forks = forksNow();
  looks += 1;
  return lastPid === 0 || forks === 0 ? undefined : { lastPid, forks, look: looks };
};

/**
 * The process bears this mark, or (null) has gone, now and for good: until ids begin anew, that is, which {@link lowestPid} sees to.
 */
export const settle = (pid: number, bears: string | null): void => {
  settled.set(pid, { look: looks, bears });
  if (settled.size <= MOST_SETTLED) return;
  const [oldest] = settled.keys();
  if (oldest !== undefined) settled.delete(oldest);
};

/** Whether it is known since the birth that the process does not bear the mark: it has gone, or bears another value of it. */
export const isSettledSince = ({ look }: Birth, pid: number, mark: string): boolean => {
  const known = settled.get(pid);
  if (known === undefined || look === undefined || known.look < look) return false;
  if (known.bears === null) return true;
  return known.bears !== mark && known.bears.startsWith(mark.slice(0, mark.indexOf('=') + 1));
};

/** Started while the ids were being listed. */
const FORKS_MEANWHILE = 1000;
let highestPid: number | undefined;

/**
 * The lowest id that a process of this birth or later can have. Ids are given in turn, so all of them are above the last one before,
 * unless so many were started since that the ids may have begun anew: then 0.
 */
export const lowestPid = (since: Birth): number => {
  const started = forksNow() - since.forks;
  highestPid ??= Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
  return started > 0 && since.lastPid + started + FORKS_MEANWHILE < highestPid ? since.lastPid + 1 : 0;
};

/** Ids that are tried one by one; more are listed. */
const MOST_TRIED = 256;

/**
 * Whether no process (nor thread) of this birth or later lives, but for those that bear another value of the mark; false also where
 * that is not told cheaply.
 */
export const isNobodySince = (since: Birth, mark: string): boolean => {
  const lowest = lowestPid(since);
  return lowest > 0 && livingSince(since, lowest, mark)?.length === 0;
};

/**
 * The living processes (and threads) with ids from `lowest` that were not settled since the birth for the mark; undefined when listing all of them is
 * cheaper. Those that are started while it looks are seen too.
 */
export const livingSince = (since: Birth, lowest: number, mark: string): number[] | undefined => {
  const living: number[] = [];
  let pid = lowest;
  for (let last = lastPidNow(); pid <= last; last = lastPidNow()) {
    if (last - lowest > MOST_TRIED) return undefined;
    for (; pid <= last; pid += 1) {
      if (isSettledSince(since, pid, mark)) continue;
      if (existsSync(`/proc/${pid}`)) living.push(pid);
      else settle(pid, null);
    }
  }
  return living;
};
