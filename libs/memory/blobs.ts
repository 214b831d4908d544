// The blob port in memory: bytes by their SHA-256.
import { createHash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import type { Blobs } from '#libs/ports/blobs.ts';
import type { FaultSwitch } from './faults.ts';

/** What a store needs of its broker; `objects` throws `BLOBS_MISSING` when it is not provisioned. */
export interface BlobParts {
  readonly faults: FaultSwitch;
  readonly objects: () => Map<string, Uint8Array>;
}

/** The fault of an object store that nobody provisioned. */
export const missingObjectStore = (name: string): Fault =>
  new Fault({ code: 'BLOBS_MISSING', retry: 'never', message: `object store ${name} is not provisioned` });

/** The port of one object store. */
export const createMemoryBlobs = ({ faults, objects }: BlobParts): Blobs => ({
  put: async (bytes) => {
    faults.check('BLOBS_UNAVAILABLE');
    const digest = `sha256-${createHash('sha256').update(bytes).digest('hex')}`;
    const stored = objects();
    if (!stored.has(digest)) stored.set(digest, bytes.slice());
    return digest;
  },
  get: async (digest) => {
    faults.check('BLOBS_UNAVAILABLE');
    return objects().get(digest)?.slice();
  },
});
