// Composition root: the ports of libs/ports on one NATS connection, for services and for the CLI.
// The only place (besides tests) where libs/nats is chosen.
import type { Clock } from '#libs/ports/clock.ts';
import { openBlobs } from '#libs/nats/blobs.ts';
import {
  connectNats,
  type ConnectionStatus,
  type ConnectNatsOptions,
  type NatsConnectionHandle,
} from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { createPublisher } from '#libs/nats/publisher.ts';
import { createRequestClient, createRequestServer } from '#libs/nats/requests.ts';
import { ServedWithin } from '#libs/nats/served-within.ts';
import { measuredLog } from './measured-log.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Publisher } from '#libs/ports/publisher.ts';
import type { WorkQueue } from '#libs/ports/work-queue.ts';
import type { OpenPorts, WireTools } from '#libs/service/context.ts';
import type { Logger } from '#libs/telemetry/logger.ts';

/** Where the broker is and who asks. */
export type BrokerAccess = Pick<
  ConnectNatsOptions,
  'servers' | 'user' | 'password' | 'name' | 'inboxPrefix' | 'waitMs'
>;

/** Connects. Faults: `BROKER_UNREACHABLE` (later), `BROKER_UNAUTHORIZED` (never). */
export const connectTo = (
  access: BrokerAccess,
  clock: Clock,
  more: Pick<ConnectNatsOptions, 'onStatus' | 'signal'> = {},
): Promise<NatsConnectionHandle> => connectNats({ ...access, ...more, clock });

const once = <Key, Value>(make: (key: Key) => Value): ((key: Key) => Value) => {
  const made = new Map<Key, Value>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    made.set(key, value);
    return value;
  };
};

/** Each log and bucket once, on a connection. */
export const readersOf = (
  connection: NatsConnectionHandle,
): { log(stream: string): EventLog; bucket(name: string): KeyValue } => ({
  log: once((stream: string) => createEventLog(connection, { stream })),
  bucket: once((bucket: string) => openKeyValue(connection, { bucket })),
});

/** How long an error that the broker reported keeps the process unready; it comes again while its cause lasts. */
const REFUSAL_SHOWS_MS = 30_000;

/** In words that mean something where they are quoted by themselves (see services/host/last-words.policy.ts). */
const sayConnection = (logger: Logger, status: Exclude<ConnectionStatus, { kind: 'error' }>): void => {
  if (status.kind === 'connected') logger.info('connected to the broker', status);
  else if (status.kind === 'reconnected') logger.info('connected to the broker again', status);
  else if (status.kind === 'closed') logger.info('the connection to the broker is closed', status);
  else logger.warn('the broker does not answer: trying to connect again', status);
};

/** Opens every port of a process on one new connection. */
export const openNatsPorts = async (
  access: BrokerAccess,
  tools: WireTools,
): Promise<OpenPorts & { readonly connection: NatsConnectionHandle }> => {
  const { clock, ids, logger, hooks, signal } = tools;
  let refusal: { readonly message: string; readonly atMs: number } | undefined;
  const connection = await connectTo(access, clock, {
    signal,
    onStatus: (status) => {
      if (status.kind === 'error') {
        refusal = { message: status.message, atMs: clock.monotonicMs() };
        logger.warn('the broker reports an error', { error: status.message });
      } else sayConnection(logger, status);
    },
  });
  const readers = readersOf(connection);
  const queue = once((name: string): WorkQueue => {
    const [stream = '', consumer = ''] = name.split(' ');
    return openWorkQueue(connection, { stream, consumer });
  });
  let publisher: Publisher | undefined;
  const onError = (error: unknown): void => logger.error('a request failed', { error: String(error) });
  const within = new ServedWithin(connection);
  return {
    connection,
    ports: {
      clock,
      ids,
      ...readers,
      log: once((stream: string) => measuredLog(readers.log(stream), hooks.log, clock)),
      queue: (stream, consumer) => queue(`${stream} ${consumer}`),
      requests: {
        client: createRequestClient(connection, within),
        server: createRequestServer(connection, { onError, within }),
      },
      blobs: openBlobs(connection, { bucket: 'bodies' }),
      publisher: () => (publisher ??= createPublisher(connection)),
    },
    check: () => {
      if (!connection.connected)
        return { ok: false, detail: connection.lastError ?? 'the broker is away; reconnecting' };
      // A refused subject breaks one part silently: a pull that is not allowed just never brings anything.
      if (refusal !== undefined && clock.monotonicMs() - refusal.atMs < REFUSAL_SHOWS_MS)
        return { ok: false, detail: `the broker refused something lately: ${refusal.message}` };
      return { ok: true, detail: 'connected' };
    },
    close: () => connection.close(),
  };
};
