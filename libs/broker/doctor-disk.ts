// The doctor's look at the data directory and the disk below it. Leaves nothing behind.
import { closeSync, existsSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '#libs/ports/clock.ts';
import { readServingRecord } from './data-dir.ts';
import { check, type DoctorCheck } from './doctor-report.ts';
import { isAlive } from '#libs/processes/process-identity.ts';

const MEBIBYTE = 1024 * 1024;
const SCARCE_BYTES = 1024 * MEBIBYTE;
const FULL_BYTES = 100 * MEBIBYTE;
const FSYNC_SAMPLES = 15;
const SLOW_FSYNC_MS = 10;

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The nearest folder above (or at) `path` that exists. */
const existingAncestor = (path: string): string => {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
};

const checkSpace = async (folder: string): Promise<DoctorCheck> => {
  const facts = await statfs(folder);
  const freeBytes = facts.bavail * facts.bsize;
  const detail = `${Math.floor(freeBytes / MEBIBYTE)} MiB free at ${folder}`;
  if (freeBytes < FULL_BYTES)
    return check('disk-space', 'fail', detail, 'free some space or choose another data directory');
  return freeBytes < SCARCE_BYTES
    ? check('disk-space', 'warn', detail, 'a log grows: plan for more than 1 GiB')
    : check('disk-space', 'pass', detail);
};

/** Median time of a write that is forced to the disk: what every acknowledged append costs. */
const measureFsync = (path: string, clock: Clock): number => {
  const descriptor = openSync(path, 'w', 0o600);
  const block = Buffer.alloc(4096);
  const times: number[] = [];
  try {
    for (let sample = 0; sample < FSYNC_SAMPLES; sample += 1) {
      const began = clock.monotonicMs();
      writeSync(descriptor, block);
      fsyncSync(descriptor);
      times.push(clock.monotonicMs() - began);
    }
  } finally {
    closeSync(descriptor);
    rmSync(path, { force: true });
  }
  return times.sort((a, b) => a - b)[Math.floor(FSYNC_SAMPLES / 2)] ?? 0;
};

const checkSpeed = (folder: string, clock: Clock): DoctorCheck => {
  let medianMs: number;
  try {
    medianMs = measureFsync(join(folder, 'fsync-probe'), clock);
  } catch (error) {
    return check('disk-speed', 'fail', `nothing can be written: ${reasonOf(error)}`, 'free some space');
  }
  const detail = `an append reaches the disk in ${medianMs.toFixed(2)} ms`;
  return medianMs > SLOW_FSYNC_MS
    ? check(
        'disk-speed',
        'warn',
        detail,
        'use a local disk, or the relaxed profile if losing 100 ms in a power cut is acceptable',
      )
    : check('disk-speed', 'pass', detail);
};

/** Data directory, free space and speed of its disk. Never throws for what it finds. */
export const checkDisk = async (dataDir: string, clock: Clock): Promise<readonly DoctorCheck[]> => {
  const folder = existingAncestor(dataDir);
  let probe: string;
  try {
    probe = await mkdtemp(join(folder, '.fleetlog-doctor-'));
  } catch (error) {
    return [
      check(
        'data-dir',
        'fail',
        `${dataDir} is not writable: ${reasonOf(error)}`,
        'correct its owner or choose another one',
      ),
    ];
  }
  try {
    const serving = readServingRecord(dataDir);
    const isServed = serving !== undefined && isAlive(serving.broker);
    const where = isServed
      ? `${dataDir}, in use by process ${serving.owner.pid} (broker on port ${serving.clientPort})`
      : `${dataDir}, ${existsSync(dataDir) ? 'writable' : 'can be created'}`;
    return [check('data-dir', 'pass', where), await checkSpace(folder), checkSpeed(probe, clock)];
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
};
