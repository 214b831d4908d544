// The contract suites on the ports on JetStream, on one real broker.
import { openBlobs } from '#libs/nats/blobs.ts';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { createPublisher } from '#libs/nats/publisher.ts';
import { createRequestClient, createRequestServer } from '#libs/nats/requests.ts';
import { ServedWithin } from '#libs/nats/served-within.ts';
import { natsTopology, type NatsTopology } from '#libs/nats/topology.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import { blobsContract } from './blobs.ts';
import { eventLogContract } from './event-log.ts';
import { keyValueContract } from './key-value.ts';
import { publisherContract } from './publisher.ts';
import { requestsContract } from './requests.ts';
import { workQueueContract } from './work-queue.ts';

const NS_PER_MS = 1_000_000;
/** Long enough that no test sees it pass by accident. */
const WINDOW_NS = 600_000 * NS_PER_MS;
const SHORTEST_WINDOW_NS = 100 * NS_PER_MS;
const FEW_RUNS = { propertyRuns: 12 };

interface Account {
  readonly connection: NatsConnectionHandle;
  readonly topology: NatsTopology;
}

const account = async (): Promise<Account> => {
  const connection = await testConnection();
  return { connection, topology: natsTopology(connection) };
};

const streamConfig = (name: string) => ({
  name,
  subjects: [`${name}.>`],
  storage: 'file',
  allow_atomic: true,
  allow_direct: true,
  duplicate_window: WINDOW_NS,
});

eventLogContract(
  'nats',
  async () => {
    const { connection, topology } = await account();
    const stream = freshName('log');
    await topology.createStream(streamConfig(stream));
    return {
      log: createEventLog(connection, { stream }),
      subject: (name) => `${stream}.${name}`,
      // Shrinking the window forgets what is older than the new one at once, and the rest within it.
      forgetIds: async () => {
        await topology.updateStream({ ...streamConfig(stream), duplicate_window: SHORTEST_WINDOW_NS });
        await connection.clock.sleep(200);
        await topology.updateStream(streamConfig(stream));
      },
      moment: () => connection.clock.sleep(6),
      dispose: () => connection.close(),
    };
  },
  FEW_RUNS,
);

keyValueContract(
  'nats',
  async () => {
    const { connection, topology } = await account();
    const bucket = freshName('bucket');
    await topology.createStream({
      name: `KV_${bucket}`,
      subjects: [`$KV.${bucket}.>`],
      storage: 'file',
      max_msgs_per_subject: 1,
      discard: 'new',
      allow_rollup_hdrs: true,
      deny_delete: true,
      allow_direct: true,
      allow_msg_ttl: true,
      subject_delete_marker_ttl: 60_000 * NS_PER_MS,
    });
    return {
      kv: openKeyValue(connection, { bucket }),
      advance: async () => {},
      dispose: () => connection.close(),
    };
  },
  FEW_RUNS,
);

workQueueContract('nats', async () => {
  const { connection, topology } = await account();
  const stream = freshName('work');
  await topology.createStream(streamConfig(stream));
  const subject = (name: string): string => `${stream}.${name}`;
  return {
    log: createEventLog(connection, { stream }),
    subject,
    createQueue: async ({ ackWaitMs, maxAckPending, prioritized, filters }) => {
      const consumer = freshName('queue');
      await topology.createConsumer(stream, {
        durable_name: consumer,
        ack_policy: 'explicit',
        ack_wait: ackWaitMs * NS_PER_MS,
        max_ack_pending: maxAckPending,
        deliver_policy: 'all',
        ...(filters.length > 0 && { filter_subjects: filters.map(subject) }),
        ...(prioritized && { priority_groups: ['one'], priority_policy: 'prioritized' }),
      });
      return openWorkQueue(connection, { stream, consumer });
    },
    advance: async () => {},
    dispose: () => connection.close(),
  };
});

publisherContract('nats', async () => {
  const { connection, topology } = await account();
  const stream = freshName('publish');
  await topology.createStream(streamConfig(stream));
  return {
    log: createEventLog(connection, { stream }),
    subject: (name) => `${stream}.${name}`,
    createPublisher: (window) => createPublisher(connection, { window }),
    dispose: () => connection.close(),
  };
});

requestsContract('nats', async () => {
  const [asking, serving] = [await testConnection(), await testConnection()];
  const prefix = freshName('req');
  return {
    client: createRequestClient(asking),
    server: createRequestServer(serving, { onError: () => {} }),
    subject: (name) => `${prefix}.${name}`,
    advance: async () => {},
    served: () => serving.nc.flush(),
    dispose: async () => {
      await asking.close();
      await serving.close();
    },
  };
});

requestsContract('nats, asked and served over one connection', async () => {
  const connection = await testConnection();
  const within = new ServedWithin(connection);
  const prefix = freshName('req');
  return {
    client: createRequestClient(connection, within),
    server: createRequestServer(connection, { onError: () => {}, within }),
    subject: (name) => `${prefix}.${name}`,
    advance: async () => {},
    served: () => connection.nc.flush(),
    dispose: () => connection.close(),
  };
});

blobsContract('nats', async () => {
  const { connection, topology } = await account();
  const bucket = freshName('bodies');
  await topology.createStream({
    name: `OBJ_${bucket}`,
    subjects: [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`],
    storage: 'file',
    discard: 'new',
    allow_rollup_hdrs: true,
    allow_direct: true,
  });
  return { blobs: openBlobs(connection, { bucket }), dispose: () => connection.close() };
});
