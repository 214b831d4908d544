// One process a buffer: a lock that SQLite holds through the operating system, so it ends with its holder however that ends
// and never has to be broken. Not for network file systems. The note about the holder is for people; it decides nothing.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { isBusy } from './storage-fault.ts';

const holderSchema = z.object({ pid: z.int(), host: z.string(), since: z.string() });

export interface BufferLock {
  /** Harmless when repeated. */
  release(): void;
}

const describeHolder = (path: string): string => {
  try {
    const { pid, host, since } = holderSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    return `process ${pid} on ${host} since ${since}`;
  } catch {
    return 'a process that has not said who it is';
  }
};

/** Takes the lock `<base>.lock`. Fault: `OUTBOX_LOCKED` (never), which names the holder. */
export const lockBuffer = (base: string, now: number): BufferLock => {
  const notePath = `${base}.holder.json`;
  const database = new DatabaseSync(`${base}.lock`);
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!isBusy(error)) throw error;
    const holder = describeHolder(notePath);
    throw new Fault({
      code: 'OUTBOX_LOCKED',
      retry: 'never',
      message: `the buffer ${base} is in use by ${holder}; two processes must not share one buffer`,
      detail: { base, holder },
      cause: error,
    });
  }
  const since = new Intl.DateTimeFormat('sv-SE', {
    dateStyle: 'short',
    timeStyle: 'medium',
    timeZone: 'UTC',
  });
  const holder = { pid: process.pid, host: hostname(), since: `${since.format(now)} UTC` };
  writeFileSync(notePath, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  return {
    release: () => {
      if (!database.isOpen) return;
      rmSync(notePath, { force: true });
      database.close();
    },
  };
};
