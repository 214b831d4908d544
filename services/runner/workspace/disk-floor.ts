// Whether there is room to work: a turn that would fill the disk fails before it begins, with the figures.
import { statfsSync } from 'node:fs';
import { Fault } from '#libs/kernel/fault.ts';

/** Bytes that this user may still write below `path`. */
export const freeBytes = (path: string): number => {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
};

/** Fault: `DISK_FLOOR` (never), which says how much is free and how much has to be. `floorBytes` 0: never. */
export const checkFloor = async (
  paths: readonly string[],
  floorBytes: number,
  measure: (path: string) => number | Promise<number> = freeBytes,
): Promise<void> => {
  if (floorBytes === 0) return;
  for (const path of paths) {
    const free = await measure(path);
    if (free < floorBytes)
      throw new Fault({
        code: 'DISK_FLOOR',
        retry: 'never',
        message: `only ${free} bytes are free in ${path}, and ${floorBytes} have to be before a turn begins: free some, or lower runner.diskFloorBytes`,
        detail: { path, freeBytes: free, floorBytes },
      });
  }
};
