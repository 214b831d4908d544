// Bodies over the inline limit, stored by content as a port. Real: libs/nats/blobs.ts. In memory: libs/memory/blobs.ts.

/** Faults: `BLOBS_UNAVAILABLE` (later), `BLOBS_MISSING` (never: bucket not provisioned), `BLOBS_REFUSED` (never: no permission), `BLOBS_DAMAGED` (never: the stored bytes are not those of the digest). */
export interface Blobs {
  /** Stores the bytes under their SHA-256 (`sha256-<hex>`); storing the same bytes again is harmless. Returns the digest. */
  put(bytes: Uint8Array): Promise<string>;
  /** The bytes of a digest, checked against it, or undefined (also for a text that is no digest). */
  get(digest: string): Promise<Uint8Array | undefined>;
}
