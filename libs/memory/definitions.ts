// What the memory broker needs to know of a stream, a bucket or a consumer. The definitions that a real broker is
// provisioned with satisfy these shapes as they are; what they say beyond (replicas, compression, …) has no effect here.

export interface StreamShape {
  readonly name: string;
  readonly subjects: readonly string[];
  /** How long an id is remembered. Default 120,000 ms. */
  readonly duplicateWindowMs?: number;
  /** Entries older than this are dropped. Default (and 0): kept for ever. */
  readonly maxAgeMs?: number;
  /** The oldest entries are dropped (or, with `discard: 'new'`, appends are refused with `LOG_FULL`) beyond this. Default (and 0): no limit. */
  readonly maxBytes?: number;
  readonly discard?: 'old' | 'new';
  /** Largest entry, headers included. Default 1 MiB. */
  readonly maxEntryBytes?: number;
  /** Entries with a `Nats-Schedule` header ring later into their target. Default false. */
  readonly allowSchedules?: boolean;
  /** Entries with a `Nats-TTL` header are dropped after that time. Default false. */
  readonly allowMessageTtl?: boolean;
}

export interface BucketShape {
  readonly name: string;
  /** Keys may expire, and an expiry is announced; how long the announcement stays. Default (and 0): no key may expire. */
  readonly markerTtlMs?: number;
}

export interface ConsumerShape {
  readonly name: string;
  readonly stream: string;
  /** Default (and empty): every subject of the stream. */
  readonly filterSubjects?: readonly string[];
  /** An entry handed out and not ended within this time comes again. Default 30,000 ms. */
  readonly ackWaitMs?: number;
  /** Most entries handed out and not ended, over all takers. Default 1,000. */
  readonly maxAckPending?: number;
  /** Deliveries of one entry before it is given up silently. Default: no limit. */
  readonly maxDeliver?: number;
  /** Present: the taker with the lowest priority number gets everything while it has a request open. */
  readonly priorityGroup?: string;
  /** Where a new consumer starts. Default: the first entry. */
  readonly deliver?: 'all' | 'new';
}

/** Everything a memory broker is to hold from its start. */
export interface TopologyShape {
  readonly streams?: readonly StreamShape[];
  readonly buckets?: readonly BucketShape[];
  readonly consumers?: readonly ConsumerShape[];
  readonly objectStores?: readonly { readonly name: string }[];
}
