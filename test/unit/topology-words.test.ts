// The broker's words: settings survive the translation, and the driver lays what is declared over what is there.
import { Fault } from '#libs/kernel/fault.ts';
import { createTopologyDriver, type BrokerAdmin } from '#libs/topology/broker-driver.ts';
import {
  consumerSettingsOf,
  consumerWords,
  streamSettingsOf,
  streamWords,
} from '#libs/topology/broker-words.ts';
import {
  bucketSettings,
  consumerSettings,
  objectStoreSettings,
  streamSettings,
} from '#libs/topology/settings.ts';
import { topologyOf } from '#streams/consumers.ts';
import { bucket, consumer, stream } from '#test/support/small-topology.ts';
import { describe, expect, test } from 'vitest';

const declared = topologyOf({
  replicas: 3,
  agents: [{ tenant: 'acme', project: 'web', agent: 'builder-1' }],
});

test('everything declared survives the way to the broker and back', () => {
  const streams = [
    ...declared.streams.map(streamSettings),
    ...declared.buckets.map(bucketSettings),
    ...declared.objectStores.map(objectStoreSettings),
  ];
  for (const settings of streams) expect(streamSettingsOf(streamWords(settings))).toEqual(settings);
  for (const settings of declared.consumers.map(consumerSettings))
    expect(consumerSettingsOf(settings.stream, consumerWords(settings))).toEqual(settings);
});

test('what the broker leaves out is what it does by default', () => {
  expect(streamSettingsOf({ name: 'X', subjects: ['x'], max_bytes: 0 })).toMatchObject({
    storage: 'file',
    discard: 'old',
    replicas: 1,
    maxBytes: -1,
    maxMessages: -1,
    maxAgeMs: 0,
    compression: 'none',
    allowAtomic: false,
  });
  expect(consumerSettingsOf('S', { durable_name: 'd', filter_subject: 'x' })).toMatchObject({
    filterSubjects: ['x'],
    deliver: 'all',
    ack: 'explicit',
    priorityGroup: null,
  });
});

describe('the driver', () => {
  const admin = (
    change: Partial<BrokerAdmin> = {},
  ): { readonly admin: BrokerAdmin; readonly sent: unknown[] } => {
    const sent: unknown[] = [];
    const record = async (...call: unknown[]): Promise<void> => void sent.push(call);
    return {
      sent,
      admin: {
        serverInfo: async () => ({ version: '2.15.1', isClustered: false, storageLimitBytes: null }),
        listStreams: async () => [
          {
            name: 'LOG',
            config: {
              ...streamWords(streamSettings(stream)),
              metadata: { owner: 'ops' },
              republish: { src: '>' },
            },
            messages: 3,
            bytes: 300,
            oldestAt: 1,
          },
          {
            name: 'KV_views',
            config: streamWords(bucketSettings(bucket)),
            messages: 0,
            bytes: 0,
            oldestAt: null,
          },
        ],
        listConsumers: async () => [
          {
            name: 'reader',
            config: { durable_name: 'reader', filter_subject: 'log.*', max_batch: 7, deliver_policy: 'all' },
            delivered: 2,
          },
        ],
        createStream: record,
        updateStream: record,
        createConsumer: record,
        updateConsumer: record,
        deleteConsumer: record,
        ...change,
      },
    };
  };

  test('reads everything, and the durable consumers of streams and buckets', async () => {
    const actual = await createTopologyDriver(admin().admin).read();
    expect(actual.streams).toMatchObject([
      { settings: streamSettings(stream), entries: 3, bytes: 300, oldestAt: 1 },
      { settings: bucketSettings(bucket), entries: 0 },
    ]);
    expect(actual.consumers).toMatchObject([
      { settings: { stream: 'LOG', name: 'reader' }, delivered: 2 },
      { settings: { stream: `KV_${bucket.name}`, name: 'reader' }, delivered: 2 },
    ]);
  });

  test('keeps what a stream has beyond what is declared', async () => {
    const { admin: broker, sent } = admin();
    await createTopologyDriver(broker).updateStream({ ...streamSettings(stream), maxAgeMs: 1000 });
    expect(sent).toMatchObject([
      [{ max_age: 1_000_000_000, metadata: { owner: 'ops' }, republish: { src: '>' } }],
    ]);
  });

  test('replaces a single filter by the list, and keeps the rest of a consumer', async () => {
    const { admin: broker, sent } = admin();
    await createTopologyDriver(broker).updateConsumer(consumerSettings(consumer));
    expect(sent).toMatchObject([['LOG', { filter_subjects: ['log.*'], max_batch: 7 }]]);
    expect(JSON.stringify(sent)).not.toContain('filter_subject"');
  });

  test('calls a name that is taken, or a thing that is gone, a reason to look again', async () => {
    const refuse = (brokerCode: number) => async (): Promise<never> => {
      throw new Fault({ code: 'TOPOLOGY_REFUSED', retry: 'never', message: 'no', detail: { brokerCode } });
    };
    const again = { code: 'TOPOLOGY_TAKEN', retry: 'now' };
    const driver = createTopologyDriver(
      admin({ createStream: refuse(10058), createConsumer: refuse(10148) }).admin,
    );
    await expect(driver.createStream(streamSettings(stream))).rejects.toMatchObject(again);
    await expect(driver.createConsumer(consumerSettings(consumer))).rejects.toMatchObject(again);
    await expect(driver.updateStream(streamSettings({ ...stream, name: 'GONE' }))).rejects.toMatchObject(
      again,
    );
    await expect(
      driver.updateConsumer(consumerSettings({ ...consumer, name: 'gone' })),
    ).rejects.toMatchObject(again);
    const other = createTopologyDriver(admin({ createStream: refuse(10052) }).admin);
    await expect(other.createStream(streamSettings(stream))).rejects.toMatchObject({
      code: 'TOPOLOGY_REFUSED',
    });
  });
});
