// Creates, looks at and deletes the short-lived consumers behind watches and replays. The broker removes one that nobody
// pulls from within half a minute, in case its owner dies.
import { askApi, DEFAULT_PATIENCE, type Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { answerFault, type FaultFamily } from './errors.ts';
import type { StreamFacts } from './stream-identity.ts';

/** Where delivery begins. `lastPerSubject`: the newest message of each subject, then what comes. */
export type ConsumerStart =
  | { readonly seq: number }
  | { readonly atMs: number }
  | { readonly lastPerSubject: true };

export interface EphemeralParts {
  readonly connection: NatsConnectionHandle;
  readonly stream: string;
  readonly family: FaultFamily;
  readonly filters: readonly string[];
  readonly patience?: Patience;
  readonly signal?: AbortSignal;
  /** Deliver without bodies. */
  readonly headersOnly?: boolean;
}

export interface OpenedConsumer {
  /** Messages to be delivered at once. */
  readonly pending: number;
  readonly stream: StreamFacts;
}

const INACTIVE_NS = 30_000_000_000;

/** The end of the year 9999: the last time that the broker can read. */
const LAST_TIME_MS = 253_402_300_799_999;

const isoTime = (ms: number): string =>
  // oxlint-disable-next-line no-restricted-globals -- formats, does not read the clock
  new Date(Math.min(LAST_TIME_MS, Math.max(0, ms))).toISOString();

const startConfig = (start: ConsumerStart): Readonly<Record<string, unknown>> => {
  if ('lastPerSubject' in start) return { deliver_policy: 'last_per_subject' };
  if ('atMs' in start) return { deliver_policy: 'by_start_time', opt_start_time: isoTime(start.atMs) };
  return { deliver_policy: 'by_start_sequence', opt_start_seq: Math.max(1, start.seq) };
};

const filterConfig = (filters: readonly string[]): Readonly<Record<string, unknown>> => {
  if (filters.length === 0) return {};
  return filters.length === 1 ? { filter_subject: filters[0] } : { filter_subjects: filters };
};

const ask = async (
  parts: EphemeralParts,
  subject: string,
  body: string,
): Promise<Readonly<Record<string, unknown>>> => {
  const { connection, family, stream, patience = DEFAULT_PATIENCE, signal } = parts;
  const what = `consumer of stream ${stream}`;
  const answer = await askApi(connection, {
    family,
    what,
    subject,
    body,
    patience,
    ...(signal === undefined ? {} : { signal }),
  });
  if (answer.kind === 'error') throw answerFault(family, what, answer.error);
  return answer.value;
};

const streamFacts = async (parts: EphemeralParts): Promise<StreamFacts> => {
  const info = await ask(parts, `$JS.API.STREAM.INFO.${parts.stream}`, '');
  const state = info['state'] as { readonly last_seq?: number } | undefined;
  return { lastSeq: state?.last_seq ?? 0, created: String(info['created']) };
};

/** Creates a consumer without acknowledgements, in memory, and tells how the stream is. Repeating it is harmless. */
export const createEphemeral = async (
  parts: EphemeralParts,
  name: string,
  start: ConsumerStart,
): Promise<OpenedConsumer> => {
  const { stream, filters } = parts;
  const config = {
    name,
    ...startConfig(start),
    ...filterConfig(filters),
    ack_policy: 'none',
    replay_policy: 'instant',
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: INACTIVE_NS,
    ...(parts.headersOnly === true ? { headers_only: true } : {}),
  };
  // One filter is part of the subject, so that permissions can speak of it.
  const suffix = filters.length === 1 ? `.${filters[0]}` : '';
  // In this order: whatever is stored after the look at the stream has a higher sequence than it says.
  const facts = await streamFacts(parts);
  const info = await ask(
    parts,
    `$JS.API.CONSUMER.CREATE.${stream}.${name}${suffix}`,
    JSON.stringify({ stream_name: stream, config, action: 'create' }),
  );
  return { pending: Number(info['num_pending'] ?? 0), stream: facts };
};

/** What the consumer has yet to deliver, and the stream's last sequence before that was looked up. */
export const pendingOf = async (
  parts: EphemeralParts,
  name: string,
): Promise<{ readonly pending: number; readonly lastSeq: number }> => {
  const { lastSeq } = await streamFacts(parts);
  const info = await ask(parts, `$JS.API.CONSUMER.INFO.${parts.stream}.${name}`, '');
  return { pending: Number(info['num_pending'] ?? 0), lastSeq };
};

/** Tells the broker to forget the consumer. Best effort. */
export const deleteEphemeral = (parts: EphemeralParts, name: string): void => {
  const { connection, stream } = parts;
  if (!connection.connected) return;
  connection.inbox
    .request(`$JS.API.CONSUMER.DELETE.${stream}.${name}`, new Uint8Array(0), 1_000)
    .catch(() => {});
};
