// Remembers, in a small file beside the buffer, a number that no record of the buffer has passed. If the buffer itself is lost, numbering
// goes on above it, so that no number is ever used twice. Written once in 65,536 records; not a copy of the buffer.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

const BLOCK = 65_536;

const ceilingSchema = z.object({ ceiling: z.int().nonnegative(), firstPending: z.int().positive() });

/** `ceiling`: the highest number that may have been used. `firstPending`: everything below it had been delivered or parked by then. */
export type Ceiling = z.infer<typeof ceilingSchema>;

const pathOf = (base: string): string => `${base}.ceiling.json`;

/** The ceiling of an earlier buffer of this name; undefined: none was ever written, or it cannot be read. */
export const readCeiling = (base: string): Ceiling | undefined => {
  try {
    return ceilingSchema.parse(JSON.parse(readFileSync(pathOf(base), 'utf8')));
  } catch {
    return undefined;
  }
};

const syncPath = (path: string): void => {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
};

/** Raises the ceiling, on disk, until `next` is below it. */
export const raiseCeiling = (base: string, next: number, firstPending: number): Ceiling => {
  const ceiling = { ceiling: next + BLOCK, firstPending };
  const path = pathOf(base);
  const handle = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeSync(handle, `${JSON.stringify(ceiling)}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${path}.new`, path);
  syncPath(dirname(path));
  return ceiling;
};
