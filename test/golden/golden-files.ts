// Where golden entries are and what they are called.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** One line a file: SHA-256, two blanks, name. */
export const SUMS = join(import.meta.dirname, 'SHA256SUMS');

/** `fleetlog.run.created.v1` → `run.created.v1.json`. */
export const goldenName = (type: string): string => `${type.replace(/^fleetlog\./, '')}.json`;

export const sumOf = (text: string): string => createHash('sha256').update(text).digest('hex');
