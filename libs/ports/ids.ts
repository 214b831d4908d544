// Identity and chance as a port. Real: libs/system/ids.ts. Seeded: libs/memory/ids.ts.

export interface Ids {
  /** A new ULID: 26 characters, sortable by creation, strictly increasing within one process. */
  ulid(): string;
  /** Uniform in [0, 1). */
  random(): number;
}
