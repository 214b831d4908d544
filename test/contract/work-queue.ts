// The contract of durable consumers, one suite for every implementation: bind it with
//   workQueueContract('memory', () => makeHarness());
// in a test file. What it does not prove: what happens while a broker is away or after its crash (the fault suite).
import { describe } from 'vitest';
import type { MakeQueues } from './queue-harness.ts';
import { deliveryContract } from './work-queue-delivery.ts';
import { takerContract } from './work-queue-takers.ts';

export const workQueueContract = (name: string, make: MakeQueues): void => {
  describe(`work queue: ${name}`, { timeout: 30_000 }, () => {
    deliveryContract(make);
    takerContract(make);
  });
};
