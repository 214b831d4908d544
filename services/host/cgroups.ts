// A control group (Linux, version 2) for each runner, with a ceiling of memory, where the system lets us. Where it does not, runners have
// their process group only, and `problem` says why. Never an obstacle: what cannot be done is left out.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Cgroups {
  /** Undefined: each runner gets a group. */
  readonly problem: string | undefined;
  /** Puts a process, and what it starts from then on, into a group of its own. False: it could not be done. */
  admit(name: string, pid: number): boolean;
  /** True: something in the group was killed because together they used more memory than they may. To be asked before `remove`. */
  wasOverMemory(name: string): boolean;
  /** Kills whatever is left in the group, and takes it away. */
  remove(name: string): void;
}

const FOLDER = 'fleetlog-host';

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The system's word for a group that has processes of its own and should hand out limits. */
const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'EBUSY';

/** Where version 2 is: alone, or beside version 1. */
const MOUNTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

/** A plain folder takes files as well, and does nothing with them. */
const isGroup = (path: string): boolean =>
  existsSync(join(path, 'cgroup.procs')) && existsSync(join(path, 'cgroup.controllers'));

/** The group that this process is in; undefined where there is no version 2. */
const ownGroup = (): string | undefined => {
  try {
    const mount = MOUNTS.find(isGroup);
    const line = readFileSync('/proc/self/cgroup', 'utf8')
      .split('\n')
      .find((one) => one.startsWith('0::'));
    return line === undefined || mount === undefined ? undefined : join(mount, line.slice('0::'.length));
  } catch {
    return undefined;
  }
};

const none = (problem: string): Cgroups => ({
  problem,
  admit: () => false,
  wasOverMemory: () => false,
  remove: () => undefined,
});

/** Makes ready below `root` (default: the own group). `memoryBytes` 0: no ceiling. */
export const openCgroups = (root: string | undefined, memoryBytes: number): Cgroups => {
  const parent = root ?? ownGroup();
  if (parent === undefined) return none('this system has no control groups of version 2');
  if (!isGroup(parent)) return none(`${parent} is no control group of version 2`);
  const base = join(parent, FOLDER);
  try {
    mkdirSync(base, { recursive: true });
    if (memoryBytes > 0) {
      appendFileSync(join(parent, 'cgroup.subtree_control'), '+memory');
      appendFileSync(join(base, 'cgroup.subtree_control'), '+memory');
    }
  } catch (error) {
    const why = isBusy(error)
      ? 'processes are in it, such as this host, and a group with limits below it must have none: see services/host/README.md'
      : textOf(error);
    return none(`control groups cannot be made in ${parent}: ${why}`);
  }
  const pathOf = (name: string): string => join(base, name.toLowerCase());
  return {
    problem: undefined,
    admit: (name, pid) => {
      try {
        mkdirSync(pathOf(name), { recursive: true });
        if (memoryBytes > 0) writeFileSync(join(pathOf(name), 'memory.max'), String(memoryBytes));
        writeFileSync(join(pathOf(name), 'cgroup.procs'), String(pid));
        return true;
      } catch {
        return false;
      }
    },
    wasOverMemory: (name) => {
      try {
        const events = readFileSync(join(pathOf(name), 'memory.events'), 'utf8');
        return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0) > 0;
      } catch {
        // It has no such group.
        return false;
      }
    },
    remove: (name) => {
      try {
        writeFileSync(join(pathOf(name), 'cgroup.kill'), '1', { flag: 'r+' });
      } catch {
        // Older than Linux 5.14: what is left was ended by its mark.
      }
      try {
        rmdirSync(pathOf(name));
      } catch {
        // It was never made, or something in it is still ending; an empty group costs nothing.
      }
    },
  };
};
