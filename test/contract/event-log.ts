// The contract of the log, one suite for every implementation: bind it with
//   eventLogContract('memory', () => makeHarness());
// in a test file. What it does not prove: speed, and what happens while a broker is away (the fault suite).
import { describe } from 'vitest';
import { appendContract } from './event-log-append.ts';
import { batchContract } from './event-log-batch.ts';
import { concurrencyContract } from './event-log-concurrency.ts';
import { filtersContract } from './event-log-filters.ts';
import { modelContract } from './event-log-model.ts';
import { orderContract } from './event-log-order.ts';
import { replayContract } from './event-log-replay.ts';
import type { MakeLog } from './log-harness.ts';

export interface LogContractOptions {
  /** Runs of each random property. Default 100; a real broker wants fewer. */
  readonly propertyRuns?: number;
}

export const eventLogContract = (name: string, make: MakeLog, options: LogContractOptions = {}): void => {
  const { propertyRuns = 100 } = options;
  describe(`event log: ${name}`, { timeout: 30_000 }, () => {
    appendContract(make);
    batchContract(make);
    orderContract(make);
    replayContract(make);
    filtersContract(make);
    concurrencyContract(make);
    modelContract(make, propertyRuns);
  });
};
