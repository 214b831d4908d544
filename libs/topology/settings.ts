// What a broker is asked for, and what it has, in one neutral shape: buckets and object stores are streams with a known layout.
// Pure: definitions in, settings out. The driver translates these to the broker's own words and back.
import type {
  BucketDefinition,
  ConsumerDefinition,
  ObjectStoreDefinition,
  StreamDefinition,
} from './definitions.ts';

/** Every setting of a stream that is declared, compared and changed here. What a broker has beyond these is left as it is. */
export interface StreamSettings {
  readonly name: string;
  readonly description: string;
  /** Order has no meaning. */
  readonly subjects: readonly string[];
  readonly storage: 'file' | 'memory';
  readonly retention: 'limits' | 'interest' | 'workqueue';
  readonly discard: 'old' | 'new';
  readonly replicas: number;
  /** 0: for ever. */
  readonly maxAgeMs: number;
  /** -1: no limit. */
  readonly maxBytes: number;
  /** -1: no limit. */
  readonly maxMessages: number;
  /** -1: no limit. For a bucket: its history. */
  readonly maxMessagesPerSubject: number;
  readonly duplicateWindowMs: number;
  readonly compression: 's2' | 'none';
  readonly allowAtomic: boolean;
  readonly allowSchedules: boolean;
  readonly allowMessageTtl: boolean;
  readonly allowRollup: boolean;
  readonly allowDirect: boolean;
  readonly denyDelete: boolean;
  readonly denyPurge: boolean;
  /** How long the marker of an expired key stays; 0: no markers. */
  readonly markerTtlMs: number;
}

/** A durable pull consumer with explicit acknowledgement. */
export interface ConsumerSettings {
  readonly stream: string;
  readonly name: string;
  readonly description: string;
  /** Order has no meaning. */
  readonly filterSubjects: readonly string[];
  readonly deliver: 'all' | 'new' | 'last' | 'last-per-subject' | 'from-sequence' | 'from-time';
  readonly ack: 'explicit' | 'all' | 'none';
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
  /** -1: no limit. */
  readonly maxDeliver: number;
  /** Null: no priority group. A group is always `prioritized`. */
  readonly priorityGroup: string | null;
}

/** A duplicate window of a stream whose ids nobody sends: the broker's default, or the age limit if that is smaller. */
const BROKER_DUPLICATE_WINDOW_MS = 120_000;

const FILE_STREAM = {
  storage: 'file',
  retention: 'limits',
  discard: 'old',
  maxAgeMs: 0,
  maxBytes: -1,
  maxMessages: -1,
  maxMessagesPerSubject: -1,
  compression: 'none',
  allowAtomic: false,
  allowSchedules: false,
  allowMessageTtl: false,
  allowRollup: false,
  allowDirect: true,
  denyDelete: false,
  denyPurge: false,
  markerTtlMs: 0,
} as const;

/** A declared stream as settings. A stream with schedules gets roll-up headers and no purge refusal: the broker insists on both. */
export const streamSettings = (definition: StreamDefinition): StreamSettings => ({
  ...FILE_STREAM,
  ...definition,
  allowRollup: definition.allowSchedules ?? false,
  denyPurge: (definition.denyPurge ?? false) && definition.allowSchedules !== true,
});

/** The stream behind a bucket. */
const bucketStreamName = (bucket: string): string => `KV_${bucket}`;
/** The stream behind an object store. */
const objectStoreStreamName = (store: string): string => `OBJ_${store}`;

/** The stream behind a bucket, as every client lays it out. Atomic, so that a projection can write the keys of a batch together. */
export const bucketSettings = (definition: BucketDefinition): StreamSettings => ({
  ...FILE_STREAM,
  name: bucketStreamName(definition.name),
  description: definition.description,
  subjects: [`$KV.${definition.name}.>`],
  replicas: definition.replicas,
  discard: 'new',
  duplicateWindowMs: BROKER_DUPLICATE_WINDOW_MS,
  maxMessagesPerSubject: definition.history,
  maxBytes: definition.maxBytes ?? -1,
  allowAtomic: true,
  allowRollup: true,
  allowMessageTtl: definition.markerTtlMs !== undefined,
  markerTtlMs: definition.markerTtlMs ?? 0,
  denyDelete: true,
});

/** The stream behind an object store, as every client lays it out. */
export const objectStoreSettings = (definition: ObjectStoreDefinition): StreamSettings => ({
  ...FILE_STREAM,
  name: objectStoreStreamName(definition.name),
  description: definition.description,
  subjects: [`$O.${definition.name}.C.>`, `$O.${definition.name}.M.>`],
  replicas: definition.replicas,
  discard: 'new',
  duplicateWindowMs: BROKER_DUPLICATE_WINDOW_MS,
  maxAgeMs: definition.maxAgeMs ?? 0,
  maxBytes: definition.maxBytes ?? -1,
  allowRollup: true,
});

/** A declared consumer as settings. */
export const consumerSettings = (definition: ConsumerDefinition): ConsumerSettings => ({
  stream: definition.stream,
  name: definition.name,
  description: definition.description,
  filterSubjects: definition.filterSubjects,
  deliver: definition.deliver ?? 'all',
  ack: 'explicit',
  ackWaitMs: definition.ackWaitMs,
  maxAckPending: definition.maxAckPending,
  maxDeliver: definition.maxDeliver ?? -1,
  priorityGroup: definition.priorityGroup ?? null,
});
