// A small topology for tests of plans: one stream with three entries, one bucket, one consumer, and a broker that has them.
import { createManualClock } from '#libs/memory/clock.ts';
import type { ConsumerDefinition, StreamDefinition, Topology } from '#libs/topology/definitions.ts';
import { planTopology, type Plan } from '#libs/topology/plan.ts';
import { bucketSettings, consumerSettings, streamSettings } from '#libs/topology/settings.ts';
import { MemoryTopology, type MemoryTopologyOptions } from './memory-topology.ts';

export const NOW = 1_763_712_000_000;
export const DAY = 86_400_000;
export const MIB = 1024 ** 2;

export const stream: StreamDefinition = {
  name: 'LOG',
  description: 'What happened.',
  subjects: ['log.*'],
  maxAgeMs: 30 * DAY,
  maxBytes: 100 * MIB,
  duplicateWindowMs: 120_000,
  replicas: 1,
  allowAtomic: true,
};
export const consumer: ConsumerDefinition = {
  stream: 'LOG',
  name: 'reader',
  description: 'Reads.',
  filterSubjects: ['log.*'],
  ackWaitMs: 30_000,
  maxAckPending: 100,
};
export const bucket = {
  name: 'views',
  description: 'Views.',
  history: 5,
  replicas: 1,
  holds: 'derived' as const,
};
export const declared: Topology = {
  streams: [stream],
  buckets: [bucket],
  consumers: [consumer],
  objectStores: [],
};

export const entry = (ageMs: number, bytes = 100) => ({ subject: 'log.a', bytes, storedAt: NOW - ageMs });

/** A broker that has everything as declared, with three entries; changed as a test wants. */
export const present = (change: Partial<MemoryTopologyOptions> = {}): MemoryTopology =>
  new MemoryTopology({
    nowMs: NOW,
    streams: [
      { settings: streamSettings(stream), entries: [entry(2 * DAY), entry(DAY), entry(1000)] },
      { settings: bucketSettings(bucket), entries: [entry(DAY)] },
    ],
    consumers: [{ settings: consumerSettings(consumer), delivered: 3 }],
    ...change,
  });

export const planFor = async (
  topology: Topology,
  driver: MemoryTopology,
  storageBudgetBytes?: number,
): Promise<Plan> =>
  planTopology({
    declared: topology,
    actual: await driver.read(),
    nowMs: NOW,
    ...(storageBudgetBytes !== undefined && { storageBudgetBytes }),
  });
export const withStream = (change: Partial<StreamDefinition>): Topology => ({
  ...declared,
  streams: [{ ...stream, ...change }],
});
export const withConsumer = (change: Partial<ConsumerDefinition>): Topology => ({
  ...declared,
  consumers: [{ ...consumer, ...change }],
});
export const clock = createManualClock(NOW);
