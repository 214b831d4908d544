// Streams, buckets and consumers of one test on a real broker, with the ports on them.
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { WorkQueue } from '#libs/ports/work-queue.ts';
import { freshName } from './fresh-name.ts';

const NS_PER_MS = 1_000_000;

export interface NatsWorld {
  readonly connection: NatsConnectionHandle;
  /** A new stream that takes `<its name>.>`; the port on it. */
  stream(label?: string): Promise<EventLog>;
  /** A new bucket without history. */
  bucket(label?: string): Promise<KeyValue>;
  /** A new durable consumer of a stream. */
  queue(
    stream: string,
    options?: { readonly ackWaitMs?: number; readonly isPrioritized?: boolean },
  ): Promise<WorkQueue>;
  /** The same stream, bucket or queue over another connection: another process. */
  over(connection: NatsConnectionHandle): {
    log(stream: string): EventLog;
    kv(bucket: string): KeyValue;
    queue(stream: string, consumer: string): WorkQueue;
  };
}

/** Makes things on the broker of `connection`. Names are fresh: tests that share a broker never meet. */
export const natsWorld = (connection: NatsConnectionHandle): NatsWorld => {
  const topology = natsTopology(connection);
  return {
    connection,
    stream: async (label = 'log') => {
      const stream = freshName(label);
      const duplicate_window = 600_000 * NS_PER_MS;
      const name = { name: stream, subjects: [`${stream}.>`] };
      await topology.createStream({
        ...name,
        storage: 'file',
        allow_atomic: true,
        allow_direct: true,
        duplicate_window,
      });
      return createEventLog(connection, { stream });
    },
    bucket: async (label = 'bucket') => {
      const bucket = freshName(label);
      await topology.createStream({
        name: `KV_${bucket}`,
        subjects: [`$KV.${bucket}.>`],
        storage: 'file',
        max_msgs_per_subject: 1,
        discard: 'new',
        allow_rollup_hdrs: true,
        deny_delete: true,
        allow_direct: true,
      });
      return openKeyValue(connection, { bucket });
    },
    queue: async (stream, { ackWaitMs = 30_000, isPrioritized = false } = {}) => {
      const consumer = freshName('queue');
      await topology.createConsumer(stream, {
        durable_name: consumer,
        ack_policy: 'explicit',
        ack_wait: ackWaitMs * NS_PER_MS,
        max_ack_pending: isPrioritized ? 1 : 1000,
        deliver_policy: 'all',
        ...(isPrioritized && { priority_groups: ['one'], priority_policy: 'prioritized' }),
      });
      return openWorkQueue(connection, { stream, consumer });
    },
    over: (other) => ({
      log: (stream) => createEventLog(other, { stream }),
      kv: (bucket) => openKeyValue(other, { bucket }),
      queue: (stream, consumer) => openWorkQueue(other, { stream, consumer }),
    }),
  };
};

/** Resolves when `isTrue` is, looking again whenever `changed` is called. */
export const createSignal = (): {
  readonly changed: () => void;
  until(isTrue: () => boolean): Promise<void>;
} => {
  const waiting = new Set<{ readonly isTrue: () => boolean; readonly resolve: () => void }>();
  return {
    changed: () => {
      for (const waiter of waiting) {
        if (!waiter.isTrue()) continue;
        waiting.delete(waiter);
        waiter.resolve();
      }
    },
    until: (isTrue) =>
      new Promise((resolve) => {
        if (isTrue()) return resolve();
        waiting.add({ isTrue, resolve });
      }),
  };
};
