// What a runner says of the machine it is on, measured when it says it: dispatch gives a machine no more work than it has room for.
// Says nothing of how machines are registered (see the hosts).
import { z } from 'zod';
import { nameSchema } from './ids.ts';

export const machineFactsSchema = z.object({
  /** Runners that name the same machine share its room. */
  name: nameSchema,
  /** Memory that programs could still get, within the limit of a container. */
  freeMemoryBytes: z.int().nonnegative(),
  /** Disk that is free where its programs work. */
  freeDiskBytes: z.int().nonnegative(),
});
export type MachineFacts = z.infer<typeof machineFactsSchema>;
