// How much room a disk has. Asks the file system; promises nothing about a moment later.
import { statfs } from 'node:fs/promises';

/** Bytes that this user may still write on the disk of `path`, which must exist. */
export const freeBytesAt = async (path: string): Promise<number> => {
  const facts = await statfs(path);
  return facts.bavail * facts.bsize;
};
