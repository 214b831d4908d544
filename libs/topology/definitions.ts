// The shapes in which streams, buckets, consumers and object stores are declared. Types only; streams/ holds the
// declarations, plan.ts compares them with what the broker has, apply.ts changes it. Units are in the names.

/** A stream as declared. What is left out is the broker's default and is not compared. */
export interface StreamDefinition {
  readonly name: string;
  readonly description: string;
  readonly subjects: readonly string[];
  /** 0 or absent: for ever. */
  readonly maxAgeMs?: number;
  /** Absent: no limit. */
  readonly maxBytes?: number;
  readonly duplicateWindowMs: number;
  readonly replicas: number;
  readonly allowAtomic: boolean;
  readonly allowSchedules?: boolean;
  readonly allowMessageTtl?: boolean;
  readonly denyDelete?: boolean;
  readonly denyPurge?: boolean;
  readonly compression?: 's2' | 'none';
}

/** A key-value bucket as declared. */
export interface BucketDefinition {
  readonly name: string;
  readonly description: string;
  readonly history: number;
  readonly replicas: number;
  /** Present: keys may expire, and their expiry is seen by watches for this long. Whole seconds. */
  readonly markerTtlMs?: number;
  readonly maxBytes?: number;
  /** `derived` can be rebuilt from the log; `state` cannot. */
  readonly holds: 'derived' | 'state';
}

/** A durable pull consumer as declared. */
export interface ConsumerDefinition {
  readonly stream: string;
  readonly name: string;
  readonly description: string;
  readonly filterSubjects: readonly string[];
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
  /** Absent: without limit; the consumer loop counts and parks. */
  readonly maxDeliver?: number;
  /** One worker at a time gets entries, the one with the lowest priority number that asks. */
  readonly priorityGroup?: string;
  readonly deliver?: 'all' | 'new';
}

/** An object store as declared. */
export interface ObjectStoreDefinition {
  readonly name: string;
  readonly description: string;
  readonly replicas: number;
  /** 0 or absent: for ever. */
  readonly maxAgeMs?: number;
  readonly maxBytes?: number;
}

/** Everything durable that a deployment has. */
export interface Topology {
  readonly streams: readonly StreamDefinition[];
  readonly buckets: readonly BucketDefinition[];
  readonly consumers: readonly ConsumerDefinition[];
  readonly objectStores: readonly ObjectStoreDefinition[];
}
