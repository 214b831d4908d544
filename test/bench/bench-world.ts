// What a benchmark gets: a fresh broker in one durability profile with the declared streams, one connection for our code and
// another for the bare code, and buckets of its own.
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { systemClock } from '#libs/system/clock.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import type { BucketDefinition } from '#libs/topology/definitions.ts';
import { bucketSettings } from '#libs/topology/settings.ts';
import { freshBroker } from '#test/support/broker.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { topologyOf } from '#streams/consumers.ts';
import type { Figure } from './figure.ts';

export interface BenchContext {
  readonly profile: SyncProfile;
  /** Measured rounds of each side; at least 5. */
  readonly rounds: number;
  /** Runs that a store has seen before, where that is what is measured. */
  readonly earlier: number;
  /** Where such a store is kept and found again; undefined: nowhere. */
  readonly store: string | undefined;
  readonly emit: (figure: Figure) => void;
}

export interface Bench {
  readonly name: string;
  /** Measures in one profile and emits each figure when it is known. */
  readonly run: (context: BenchContext) => Promise<void>;
}

export interface BenchWorld extends AsyncDisposable {
  readonly ours: NatsConnectionHandle;
  readonly bare: NatsConnection;
  readonly log: (stream: 'EVENTS' | 'TRANSITIONS') => EventLog;
  /** A new empty bucket, laid out like that of a projection. */
  readonly newBucket: () => Promise<KeyValue>;
}

/** Starts a broker with every declared stream. */
export const openBenchWorld = async (profile: SyncProfile): Promise<BenchWorld> => {
  const broker = await freshBroker({ sync: profile });
  const ours = await connectTo({ ...broker, urls: [broker.url] }, { name: 'bench-ours' });
  const bare = await connect({
    servers: broker.url,
    user: broker.user,
    pass: broker.password,
    name: 'bench-bare',
  });
  const driver = natsTopologyDriver(ours);
  const declared = topologyOf({ replicas: 1, agents: [] });
  const { result } = await reconcileTopology({ declared, driver, clock: systemClock });
  if (result.failed !== null) throw result.failed.fault;
  let buckets = 0;
  return {
    ours,
    bare,
    log: (stream) => createEventLog(ours, { stream }),
    newBucket: async () => {
      buckets += 1;
      const name = `bench-${buckets}`;
      const bucket: BucketDefinition = {
        name,
        description: 'Of a benchmark.',
        history: 1,
        replicas: 1,
        holds: 'derived',
      };
      await driver.createStream(bucketSettings(bucket));
      return openKeyValue(ours, { bucket: name });
    },
    [Symbol.asyncDispose]: async () => {
      await bare.close();
      await ours.close();
      await broker[Symbol.asyncDispose]();
    },
  };
};
