// Where a buffer lies: a readable name, and a hash that keeps two names apart that look alike once made safe.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** Path of the buffer of `name` in `dir`, without a suffix: its files are `<base>.sqlite` (and what SQLite keeps beside it), `.lock`, `.ceiling.json`, `.holder.json`. */
export const bufferBase = (dir: string, name: string): string => {
  const safe = name.replaceAll(/[^A-Za-z0-9_-]+/g, '_').slice(0, 100);
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return join(dir, `outbox-${safe === '' ? 'unnamed' : safe}-${hash}`);
};
