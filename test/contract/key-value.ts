// The contract of buckets, one suite for every implementation: bind it with
//   keyValueContract('memory', () => makeHarness());
// in a test file. What it does not prove: what happens while a broker is away (the fault suite).
import { describe } from 'vitest';
import type { MakeBucket } from './bucket-harness.ts';
import { readWriteContract } from './key-value-read-write.ts';
import { watchContract } from './key-value-watch.ts';

export interface KeyValueContractOptions {
  /** Runs of the random property. Default 100; a real broker wants fewer. */
  readonly propertyRuns?: number;
}

export const keyValueContract = (
  name: string,
  make: MakeBucket,
  options: KeyValueContractOptions = {},
): void => {
  describe(`key-value bucket: ${name}`, { timeout: 30_000 }, () => {
    readWriteContract(make);
    watchContract(make, options.propertyRuns ?? 100);
  });
};
