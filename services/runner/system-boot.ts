// Which start of the operating system this is. What was written before another one may be missing: the system's memory is gone.
import { readFileSync } from 'node:fs';

const PATH = '/proc/sys/kernel/random/boot_id';

/** Another one after each start of the system; null where the system does not say. */
export const systemBoot = (): string | null => {
  try {
    const id = readFileSync(PATH, 'utf8').trim();
    return id === '' ? null : id;
  } catch {
    return null;
  }
};
