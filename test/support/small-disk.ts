// A small file system of its own that a test can fill, and give room again. Needs root, to mount it.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const MIB = 1024 * 1024;

/** A file system of `sizeMib` for the running test, or undefined where this user may not mount one. */
export const smallDisk = (sizeMib: number): string | undefined => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetlog-small-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', folder], { stdio: 'pipe' });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['--lazy', folder]));
  return folder;
};

/** Writes until nothing more fits. */
export const fillDisk = (file: string): void => {
  const descriptor = openSync(file, 'w');
  for (const size of [MIB, 4096, 1]) {
    try {
      for (const block = Buffer.alloc(size); ;) writeSync(descriptor, block);
    } catch {
      // It is full for pieces of this size.
    }
  }
  closeSync(descriptor);
};
