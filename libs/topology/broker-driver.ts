// The driver of a real broker: translates between settings and the configuration objects of the JetStream API.
// It talks through `BrokerAdmin` (libs/nats/topology.ts is one) and knows no client package.
import { Fault } from '#libs/kernel/fault.ts';
import {
  consumerSettingsOf,
  consumerWords,
  streamSettingsOf,
  streamWords,
  type BrokerWords,
} from './broker-words.ts';
import type { ActualConsumer, ActualTopology, TopologyDriver } from './driver.ts';
import type { ConsumerSettings } from './settings.ts';

/** What the broker's own API offers. Faults as {@link TopologyDriver}, but `TOPOLOGY_REFUSED` with `detail.brokerCode` for a taken name. */
export interface BrokerAdmin {
  serverInfo(): Promise<{
    readonly version: string;
    readonly isClustered: boolean;
    readonly storageLimitBytes: number | null;
  }>;
  listStreams(): Promise<
    readonly {
      readonly name: string;
      readonly config: BrokerWords;
      readonly messages: number;
      readonly bytes: number;
      readonly oldestAt: number | null;
    }[]
  >;
  /** Durable consumers; none when the stream is not there. */
  listConsumers(
    stream: string,
  ): Promise<readonly { readonly name: string; readonly config: BrokerWords; readonly delivered: number }[]>;
  createStream(config: BrokerWords): Promise<unknown>;
  updateStream(config: BrokerWords): Promise<unknown>;
  createConsumer(stream: string, config: BrokerWords): Promise<unknown>;
  updateConsumer(stream: string, config: BrokerWords): Promise<unknown>;
  deleteConsumer(stream: string, name: string): Promise<void>;
}

/** Error codes of "exists already, with other settings": stream name in use, consumer exists, consumer already exists. */
const TAKEN_CODES: ReadonlySet<unknown> = new Set([10058, 10013, 10105, 10148]);

const changed = (what: string, error: Fault): Fault =>
  new Fault({
    code: 'TOPOLOGY_TAKEN',
    retry: 'now',
    message: `${what} was created meanwhile with other settings`,
    detail: error.detail,
    cause: error,
  });

const full = (what: string, error: Fault): Fault =>
  new Fault({
    code: error.code,
    retry: error.retry,
    message: `${error.message} (${what}): the broker reserves the size of every stream; free disk space, or give a storage budget (--storage 2GiB), which scales the sizes down`,
    detail: error.detail,
    cause: error,
  });

/** Says of a refusal what it means for provisioning. */
const explained = async (what: string, call: () => Promise<unknown>): Promise<void> => {
  await call().catch((error: unknown) => {
    if (!(error instanceof Fault)) throw error;
    if (TAKEN_CODES.has(error.detail['brokerCode'])) throw changed(what, error);
    throw error.code === 'TOPOLOGY_FULL' ? full(what, error) : error;
  });
};

/** Streams behind object stores: nobody has a durable consumer there. A bucket's may have some; its watches are not durable. */
const isObjectStream = (name: string): boolean => name.startsWith('OBJ_');

const gone = (what: string): Fault =>
  new Fault({ code: 'TOPOLOGY_TAKEN', retry: 'now', message: `${what} was removed meanwhile` });

const readAll = async (admin: BrokerAdmin): Promise<ActualTopology> => {
  const server = await admin.serverInfo();
  const listed = await admin.listStreams();
  const consumers: ActualConsumer[] = [];
  for (const { name } of listed) {
    if (isObjectStream(name)) continue;
    for (const { config, delivered } of await admin.listConsumers(name))
      consumers.push({ settings: consumerSettingsOf(name, config), delivered });
  }
  return {
    server: {
      version: server.version,
      isClustered: server.isClustered,
      storageLimitBytes: server.storageLimitBytes,
    },
    streams: listed.map(({ config, messages, bytes, oldestAt }) => ({
      settings: streamSettingsOf(config),
      entries: messages,
      bytes,
      oldestAt,
    })),
    consumers,
  };
};

/** The driver over a broker's API. */
export const createTopologyDriver = (admin: BrokerAdmin): TopologyDriver => ({
  read: () => readAll(admin),
  createStream: (settings) =>
    explained(`stream ${settings.name}`, () => admin.createStream(streamWords(settings))),
  updateStream: async (settings) => {
    const present = (await admin.listStreams()).find(({ name }) => name === settings.name);
    if (present === undefined) throw gone(`stream ${settings.name}`);
    const config = { ...present.config, ...streamWords(settings) };
    await explained(`stream ${settings.name}`, () => admin.updateStream(config));
  },
  createConsumer: (settings: ConsumerSettings) =>
    explained(`consumer ${settings.name}`, () =>
      admin.createConsumer(settings.stream, consumerWords(settings)),
    ),
  updateConsumer: async (settings) => {
    const present = (await admin.listConsumers(settings.stream)).find(({ name }) => name === settings.name);
    if (present === undefined) throw gone(`consumer ${settings.name}`);
    const { filter_subject: _singular, ...config } = present.config;
    await admin.updateConsumer(settings.stream, { ...config, ...consumerWords(settings) });
  },
  deleteConsumer: (stream, name) => admin.deleteConsumer(stream, name),
});
