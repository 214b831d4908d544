// Real identity and chance: the only file of the product that makes ids or random numbers.
import type { Ids } from '#libs/ports/ids.ts';
import { monotonicFactory } from 'ulid';

const next = monotonicFactory();

/** ULIDs that increase strictly within this process, and the platform's random numbers. */
export const systemIds: Ids = {
  ulid: () => next(),
  random: () => Math.random(),
};
