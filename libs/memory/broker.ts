// A whole broker in memory: streams, consumers, buckets and object stores by name, under one clock, with faults on
// demand. Everything that happens follows from the calls, the clock and the fault plan: same seed, same run.
// Does not persist, and does not imitate time on the wire: what is reachable answers at once.
import type { Blobs } from '#libs/ports/blobs.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Publisher } from '#libs/ports/publisher.ts';
import type { RequestClient, RequestServer } from '#libs/ports/requests.ts';
import type { WorkQueue } from '#libs/ports/work-queue.ts';
import { invariant } from '#libs/kernel/invariant.ts';
import { createMemoryBlobs, missingObjectStore } from './blobs.ts';
import { type BucketRecord, BucketStore } from './bucket-store.ts';
import { bucketOfStream, streamOfBucket } from './bucket-stream.ts';
import { ConsumerState } from './consumer-state.ts';
import type { BucketShape, ConsumerShape, StreamShape, TopologyShape } from './definitions.ts';
import { createMemoryEventLog, missingStream } from './event-log.ts';
import { type BrokerFaults, FaultSwitch } from './faults.ts';
import { createMemoryKeyValue, missingBucket } from './key-value.ts';
import { createMemoryPublisher } from './publisher.ts';
import { createMemoryRequests } from './requests.ts';
import { serveSchedules } from './schedules.ts';
import { StreamStore } from './stream-store.ts';
import { matchesSubject } from './subject-match.ts';
import { createMemoryWorkQueue, missingConsumer } from './work-queue.ts';

/** A broker in memory. Ports may be made before what they stand for is declared: they fault as missing until then. */
export interface MemoryBroker {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly faults: BrokerFaults;
  readonly requests: RequestClient & RequestServer;
  /** Declares a stream; declaring it again keeps what is there. */
  declareStream(shape: StreamShape): void;
  declareBucket(shape: BucketShape): void;
  /** Declares a consumer of a declared stream, or of a declared bucket's (`KV_<bucket>`) before its first write; declaring it again keeps its state. */
  declareConsumer(shape: ConsumerShape): void;
  declareObjectStore(name: string): void;
  /** Declares everything: streams before their consumers. */
  declare(topology: TopologyShape): void;
  eventLog(stream: string): EventLog;
  /** Publishes to whichever stream takes the subject; at most `window` (default 512) entries in flight. */
  publisher(options?: { readonly window?: number }): Publisher;
  keyValue(bucket: string): KeyValue;
  workQueue(stream: string, consumer: string): WorkQueue;
  blobs(name: string): Blobs;
  /** Calls `tell` for every entry of a declared stream from now on, at the moment it is stored and whatever the faults are: for those who judge. */
  observeStream(stream: string, tell: (entry: StoredEntry) => void): void;
  /** The same for the records of a declared bucket. */
  observeBucket(bucket: string, tell: (record: BucketRecord) => void): void;
  /** The stream forgets the ids that it has seen, as after its duplicate window. */
  forgetIds(stream: string): void;
}

/** What a broker holds, by name. */
class Shelves {
  readonly clock: Clock;
  readonly faults = new FaultSwitch();
  readonly streams = new Map<string, StreamStore>();
  readonly buckets = new Map<string, BucketStore>();
  readonly consumers = new Map<string, ConsumerState>();
  readonly objectStores = new Map<string, Map<string, Uint8Array>>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** A stream, or that behind a bucket; undefined: nobody declared it. */
  streamNamed(name: string): StreamStore | undefined {
    const known = this.streams.get(name);
    const bucket = known === undefined ? this.buckets.get(bucketOfStream(name) ?? '') : undefined;
    if (bucket === undefined) return known;
    const store = streamOfBucket(bucket, this.clock);
    this.streams.set(name, store);
    return store;
  }

  stream(name: string): StreamStore {
    return found(this.streamNamed(name), () => missingStream(name));
  }

  /** The stream that takes a subject. */
  streamOf(subject: string): StreamStore {
    for (const store of this.streams.values())
      if (store.shape.subjects.some((filter) => matchesSubject(filter, subject))) return store;
    throw missingStream(`for ${subject}`);
  }
}

const found = <T>(value: T | undefined, missing: () => Error): T => {
  if (value === undefined) throw missing();
  return value;
};

type Declarations = Pick<
  MemoryBroker,
  'declareStream' | 'declareBucket' | 'declareConsumer' | 'declareObjectStore'
>;

const declarationsOn = (shelves: Shelves): Declarations => {
  const { clock, faults, streams, buckets, consumers, objectStores } = shelves;
  return {
    declareStream: (shape) => {
      if (streams.has(shape.name)) return;
      const store = new StreamStore(shape, clock);
      streams.set(shape.name, store);
      serveSchedules(store, clock);
    },
    declareBucket: (shape) => {
      if (!buckets.has(shape.name)) buckets.set(shape.name, new BucketStore(shape, clock));
    },
    declareConsumer: (shape) => {
      const key = `${shape.stream}/${shape.name}`;
      const store = shelves.streamNamed(shape.stream);
      invariant(store !== undefined, `stream ${shape.stream} is declared before its consumer ${shape.name}`);
      if (!consumers.has(key)) consumers.set(key, new ConsumerState(shape, store, { clock, faults }));
    },
    declareObjectStore: (name) => {
      if (!objectStores.has(name)) objectStores.set(name, new Map());
    },
  };
};

type Ports = Pick<MemoryBroker, 'eventLog' | 'publisher' | 'keyValue' | 'workQueue' | 'blobs'>;

const portsOf = (shelves: Shelves): Ports => {
  const { clock, faults, buckets, consumers, objectStores } = shelves;
  const eventLog = (stream: string): EventLog =>
    createMemoryEventLog({ stream, clock, faults, store: () => shelves.stream(stream) });
  return {
    eventLog,
    publisher: (options = {}) =>
      createMemoryPublisher({
        logOf: (subject) => eventLog(shelves.streamOf(subject).shape.name),
        ...options,
      }),
    keyValue: (bucket) => {
      const store = (): BucketStore => found(buckets.get(bucket), () => missingBucket(bucket));
      return createMemoryKeyValue({ bucket, clock, faults, store });
    },
    workQueue: (stream, consumer) => {
      const state = (): ConsumerState =>
        found(consumers.get(`${stream}/${consumer}`), () => missingConsumer(stream, consumer));
      return createMemoryWorkQueue({ stream, consumer, clock, faults, state });
    },
    blobs: (name) => {
      const objects = (): Map<string, Uint8Array> =>
        found(objectStores.get(name), () => missingObjectStore(name));
      return createMemoryBlobs({ faults, objects });
    },
  };
};

/** An empty broker, or one with everything in `topology` declared. */
export const createMemoryBroker = (parts: {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly topology?: TopologyShape;
}): MemoryBroker => {
  const { clock, ids, topology = {} } = parts;
  const shelves = new Shelves(clock);
  const { faults } = shelves;
  const declarations = declarationsOn(shelves);
  const declare = (shape: TopologyShape): void => {
    for (const one of shape.streams ?? []) declarations.declareStream(one);
    for (const one of shape.buckets ?? []) declarations.declareBucket(one);
    for (const one of shape.consumers ?? []) declarations.declareConsumer(one);
    for (const { name } of shape.objectStores ?? []) declarations.declareObjectStore(name);
  };
  declare(topology);
  return {
    clock,
    ids,
    faults,
    requests: createMemoryRequests({ clock, faults }),
    ...declarations,
    declare,
    ...portsOf(shelves),
    observeStream: (stream, tell) =>
      shelves.stream(stream).listen({ stored: tell, removed: () => undefined }),
    observeBucket: (bucket, tell) =>
      void found(shelves.buckets.get(bucket), () => missingBucket(bucket)).watch(tell),
    forgetIds: (stream) => shelves.stream(stream).forgetIds(),
  };
};
