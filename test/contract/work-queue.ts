// The contract of durable consumers, one suite for every implementation: bind it with
//   workQueueContract('memory', () => makeHarness());
// in a test file. What it does not prove: what happens while a broker is away or after its crash (the fault suite).
import { describe } from 'vitest';
import type { MakeQueues } from './queue-harness.ts';
import { deliveryContract } from './work-queue-delivery.ts';
import { workQueueProperty } from './work-queue-property.ts';
import { redeliveryContract } from './work-queue-redelivery.ts';
import { takerContract } from './work-queue-takers.ts';

export interface WorkQueueContractOptions {
  /** Runs of the random property. Default 100; a real broker wants fewer. */
  readonly propertyRuns?: number;
}

export const workQueueContract = (
  name: string,
  make: MakeQueues,
  options: WorkQueueContractOptions = {},
): void => {
  describe(`work queue: ${name}`, { timeout: 30_000 }, () => {
    deliveryContract(make);
    redeliveryContract(make);
    takerContract(make);
    workQueueProperty(make, options.propertyRuns ?? 100);
  });
};
