// How this machine stands: memory, disk, platform.
import { statfsSync } from 'node:fs';
import { totalmem } from 'node:os';

export interface MachineFacts {
  readonly freeMemoryBytes: number;
  readonly totalMemoryBytes: number;
  readonly freeDiskBytes: number;
}

const freeBytes = (path: string): number => {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    // Nothing can be kept there.
    return 0;
  }
};

/** What is there now; within the limits of a container, if there are any. */
export const readMachine = (dataDir: string): MachineFacts => {
  const constrained = process.constrainedMemory();
  const total = totalmem();
  return {
    freeMemoryBytes: Math.floor(process.availableMemory()),
    totalMemoryBytes: constrained > 0 && constrained < total ? constrained : total,
    freeDiskBytes: freeBytes(dataDir),
  };
};

/** `linux-x64` */
export const PLATFORM = `${process.platform}-${process.arch}`;
