// The driver behind `provision` and the check at start: reads what streams and consumers the broker really has, and changes
// them. Plain configuration objects in and out, as the broker writes them; what should be there, and whether a change may be
// made, is decided in libs/topology. A bucket is the stream `KV_<bucket>`, an object store the stream `OBJ_<bucket>`.
import { Fault } from '#libs/kernel/fault.ts';
import { askApi } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { answerFault, type BrokerError, classifyAnswer } from './errors.ts';
import { epochMs } from './stored-entry.ts';

/** A configuration object of the JetStream API, durations in nanoseconds. */
type BrokerConfig = Readonly<Record<string, unknown>>;

interface StreamReport {
  readonly name: string;
  readonly config: BrokerConfig;
  readonly messages: number;
  readonly bytes: number;
  readonly lastSeq: number;
  /** When the oldest entry was stored, epoch ms; null when there is none. */
  readonly oldestAt: number | null;
}

interface ConsumerReport {
  readonly name: string;
  readonly config: BrokerConfig;
  readonly pending: number;
  readonly unacknowledged: number;
  /** Entries handed out so far, repeats included. */
  readonly delivered: number;
}

interface BrokerReport {
  readonly name: string;
  readonly version: string;
  /** JetStream API level: 0 before 2.11, 1 for 2.11, 2 for 2.12, 4 for 2.14, 5 for 2.15. */
  readonly apiLevel: number;
  readonly maxPayloadBytes: number;
  /** False: one server that belongs to no cluster. */
  readonly isClustered: boolean;
  /** Bytes of file storage that this account may use, all replicas together; null: not limited. */
  readonly storageLimitBytes: number | null;
}

/** Least API level that everything here works with (nats-server 2.14). */
export const REQUIRED_API_LEVEL = 4;

/** Faults: `TOPOLOGY_UNAVAILABLE` (later), `TOPOLOGY_REFUSED` (never, with the broker's code in `detail.brokerCode`), `TOPOLOGY_FULL` (later). */
export interface NatsTopology {
  /** What the server is. Fault `SERVER_TOO_OLD` (never) below {@link REQUIRED_API_LEVEL}. */
  serverInfo(): Promise<BrokerReport>;
  listStreams(): Promise<readonly StreamReport[]>;
  /** The consumers of a stream that have a durable name; none when the stream is not there. */
  listConsumers(stream: string): Promise<readonly ConsumerReport[]>;
  createStream(config: BrokerConfig): Promise<BrokerConfig>;
  updateStream(config: BrokerConfig): Promise<BrokerConfig>;
  createConsumer(stream: string, config: BrokerConfig): Promise<BrokerConfig>;
  updateConsumer(stream: string, config: BrokerConfig): Promise<BrokerConfig>;
  /** Harmless when it is not there. */
  deleteConsumer(stream: string, name: string): Promise<void>;
}

type Json = Readonly<Record<string, unknown>>;

const asJson = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const asNumber = (value: unknown): number => (typeof value === 'number' ? value : 0);
const asText = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Asks the API; `tolerate` turns a refusal into undefined. */
const ask = async (
  connection: NatsConnectionHandle,
  subject: string,
  body: Json | undefined,
  tolerate?: (error: BrokerError) => boolean,
): Promise<Json | undefined> => {
  const what = subject.slice('$JS.API.'.length);
  const answer = await askApi(connection, {
    family: 'TOPOLOGY',
    what,
    subject,
    body: body === undefined ? '' : JSON.stringify(body),
  });
  if (answer.kind === 'ok') return answer.value;
  if (tolerate?.(answer.error) === true) return undefined;
  throw answerFault('TOPOLOGY', what, answer.error);
};

/** All items of a paged listing. */
const listAll = async (
  connection: NatsConnectionHandle,
  subject: string,
  field: string,
  tolerate?: (error: BrokerError) => boolean,
): Promise<readonly Json[]> => {
  const items: Json[] = [];
  for (;;) {
    const page = await ask(connection, subject, { offset: items.length }, tolerate);
    const found = Array.isArray(page?.[field]) ? (page[field] as readonly unknown[]) : [];
    items.push(...found.map(asJson));
    if (found.length === 0 || items.length >= asNumber(page?.['total'])) return items;
  }
};

const streamReport = (info: Json): StreamReport => {
  const config = asJson(info['config']);
  const state = asJson(info['state']);
  return {
    name: asText(config['name']),
    config,
    messages: asNumber(state['messages']),
    bytes: asNumber(state['bytes']),
    lastSeq: asNumber(state['last_seq']),
    oldestAt: asNumber(state['messages']) === 0 ? null : epochMs(asText(state['first_ts'])),
  };
};

const consumerReport = (info: Json): ConsumerReport => ({
  name: asText(info['name']),
  config: asJson(info['config']),
  pending: asNumber(info['num_pending']),
  unacknowledged: asNumber(info['num_ack_pending']),
  delivered: asNumber(asJson(info['delivered'])['consumer_seq']),
});

const serverInfo = async (connection: NatsConnectionHandle): Promise<BrokerReport> => {
  const account = await ask(connection, '$JS.API.INFO', undefined);
  const apiLevel = asNumber(asJson(account?.['api'])['level']);
  const { info } = connection.nc;
  const version = info?.version ?? 'unknown';
  if (apiLevel < REQUIRED_API_LEVEL)
    throw new Fault({
      code: 'SERVER_TOO_OLD',
      retry: 'never',
      message: `nats-server ${version} has JetStream API level ${apiLevel}; level ${REQUIRED_API_LEVEL} (nats-server 2.14 or newer) is needed`,
      detail: { version, apiLevel, requiredApiLevel: REQUIRED_API_LEVEL },
    });
  const limit = asNumber(asJson(account?.['limits'])['max_storage']);
  return {
    name: info?.server_name ?? '',
    version,
    apiLevel,
    maxPayloadBytes: info?.max_payload ?? 0,
    isClustered: asText((info as Json | undefined)?.['cluster']) !== '',
    storageLimitBytes: limit > 0 ? limit : null,
  };
};

const isMissing = (error: BrokerError): boolean => {
  const kind = classifyAnswer(error);
  return kind === 'stream-missing' || kind === 'consumer-missing';
};

/** Streams, buckets, object stores and consumers of the account that `connection` is in. */
export const natsTopology = (connection: NatsConnectionHandle): NatsTopology => {
  const configOf = async (subject: string, body: Json): Promise<BrokerConfig> =>
    asJson((await ask(connection, subject, body))?.['config']);
  const putConsumer = (
    stream: string,
    config: BrokerConfig,
    action: 'create' | 'update',
  ): Promise<BrokerConfig> => {
    const name = asText(config['durable_name']) || asText(config['name']);
    const filter = asText(config['filter_subject']);
    const subject = `$JS.API.CONSUMER.CREATE.${stream}.${name}${filter === '' ? '' : `.${filter}`}`;
    return configOf(subject, { stream_name: stream, config: { ...config, name }, action });
  };
  return {
    serverInfo: () => serverInfo(connection),
    listStreams: async () => (await listAll(connection, '$JS.API.STREAM.LIST', 'streams')).map(streamReport),
    listConsumers: async (stream) =>
      (await listAll(connection, `$JS.API.CONSUMER.LIST.${stream}`, 'consumers', isMissing))
        .map(consumerReport)
        .filter(({ config }) => asText(config['durable_name']) !== ''),
    createStream: (config) => configOf(`$JS.API.STREAM.CREATE.${asText(config['name'])}`, config),
    updateStream: (config) => configOf(`$JS.API.STREAM.UPDATE.${asText(config['name'])}`, config),
    createConsumer: (stream, config) => putConsumer(stream, config, 'create'),
    updateConsumer: (stream, config) => putConsumer(stream, config, 'update'),
    deleteConsumer: async (stream, name) => {
      await ask(connection, `$JS.API.CONSUMER.DELETE.${stream}.${name}`, undefined, isMissing);
    },
  };
};
