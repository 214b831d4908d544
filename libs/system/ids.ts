// Real identity and chance: the only file of the product that makes ids or random numbers.
import { randomFillSync } from 'node:crypto';
import { monotonicFactory } from 'ulid';
import type { Ids } from '#libs/ports/ids.ts';

/** Drawn ahead: one call to the system for each of the 16 characters of an id costs more than all the rest of it. */
const drawn = new Uint8Array(4096);
let used = drawn.byteLength;

/** A random byte as a share of 256: more than the 32 values that a character can have. */
const nextShare = (): number => {
  if (used === drawn.byteLength) {
    randomFillSync(drawn);
    used = 0;
  }
  const share = (drawn[used] ?? 0) / 256;
  used += 1;
  return share;
};

const next = monotonicFactory(nextShare);

/** ULIDs that increase strictly within this process, and the platform's random numbers. */
export const systemIds: Ids = {
  ulid: () => next(),
  random: () => Math.random(),
};
