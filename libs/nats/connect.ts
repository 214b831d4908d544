// The connection to the broker that every port of this folder works over. It reconnects for ever, notices a hung server
// within seconds, and tells whether it is connected now. It does not check what is provisioned (see topology.ts).
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import {
  connect,
  createInbox,
  PermissionViolationError,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import type { NatsConnection, NodeConnectionOptions, Status } from '@nats-io/transport-node';
import { connectFault, isCredentialError } from './errors.ts';
import { ReplyInbox } from './reply-inbox.ts';
import { readTogether } from './whole-messages.ts';
import { writeTogether } from './write-together.ts';

export type ConnectionStatus =
  | { readonly kind: 'connected' | 'reconnected'; readonly server: string }
  | { readonly kind: 'disconnected' | 'closed' }
  | { readonly kind: 'error'; readonly message: string };

export interface ConnectNatsOptions {
  /** `nats://host:port` or `host:port`; the members of a cluster. Must not be empty. */
  readonly servers: readonly string[];
  readonly user?: string;
  /** A function is called at each attempt to connect, also to connect again: a password that was replaced is the next one used. */
  readonly password?: string | (() => string);
  /** Shown by the broker's monitoring. */
  readonly name: string;
  /** First tokens of the subjects that answers come to; the user must be allowed to subscribe to `<prefix>.>`. @default '_INBOX' */
  readonly inboxPrefix?: string;
  readonly clock: Clock;
  /** How long to wait for a broker that is not up yet. @default 0 (one attempt a server) */
  readonly waitMs?: number;
  /** Told of every change, in order. Must not throw. */
  readonly onStatus?: (status: ConnectionStatus) => void;
  /** Ends the waiting for the first connection. */
  readonly signal?: AbortSignal;
}

export interface NatsConnectionHandle {
  /** The client's connection, for what no port covers. */
  readonly nc: NatsConnection;
  readonly clock: Clock;
  readonly inbox: ReplyInbox;
  /** Resolves once what is published in this turn of the event loop is on its way: for work that can wait until then. */
  written(): Promise<void>;
  /** A new subject that nobody else receives on, for answers that come as many messages. */
  newInbox(): string;
  /** False from the moment that the loss of the server is noticed until it is back. */
  readonly connected: boolean;
  /** The server is one of a cluster, as it said when the connection was last made: others of it may die while this one stays. */
  readonly isClustered: boolean;
  /** Closed for good: nothing will ever be answered over it. */
  readonly isClosed: boolean;
  /** The last error that the broker or the transport reported since the connection was last made, if any. */
  readonly lastError: string | undefined;
  /** Resolves true once connected, false when `signal` aborts, the connection is closed or `withinMs` have passed. */
  whenConnected(options?: { readonly withinMs?: number; readonly signal?: AbortSignal }): Promise<boolean>;
  /** Calls `listener` after each loss (false) and return (true) of the server. Returns a function that ends this. */
  onConnectivity(listener: (isConnected: boolean) => void): () => void;
  /** Sends what is buffered (at most a second), then closes. Idempotent. */
  close(): Promise<void>;
  /** Resolves when the connection is closed for good. */
  readonly closed: Promise<void>;
}

const PING_INTERVAL_MS = 2_000;
const MAX_PINGS_OUT = 2;
const DIAL_TIMEOUT_MS = 4_000;
const RECONNECT_WAIT_MS = 250;
const FLUSH_MS = 1_000;

const clientOptions = (options: ConnectNatsOptions): NodeConnectionOptions => ({
  servers: [...options.servers],
  name: options.name,
  ...(options.user === undefined
    ? {}
    : { authenticator: usernamePasswordAuthenticator(options.user, options.password ?? '') }),
  ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
  maxReconnectAttempts: -1,
  reconnectTimeWait: RECONNECT_WAIT_MS,
  // A broker that restarts may refuse credentials for a moment (callout not up yet): once connected, never give up.
  ignoreAuthErrorAbort: true,
  pingInterval: PING_INTERVAL_MS,
  maxPingOut: MAX_PINGS_OUT,
  timeout: DIAL_TIMEOUT_MS,
  noAsyncTraces: true,
});

const dial = async (options: ConnectNatsOptions): Promise<NatsConnection> => {
  const { clock, signal } = options;
  const deadline = clock.monotonicMs() + (options.waitMs ?? 0);
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 1_000)) {
    try {
      return await connect(clientOptions(options));
    } catch (error) {
      const remainingMs = deadline - clock.monotonicMs();
      if (isCredentialError(error) || remainingMs <= 0 || signal?.aborted === true)
        throw connectFault(error, options.servers, options.user);
      await clock.sleep(Math.min(waitMs, remainingMs), signal);
    }
  }
};

class Connection implements NatsConnectionHandle {
  readonly nc: NatsConnection;
  readonly clock: Clock;
  readonly inbox: ReplyInbox;
  readonly written: () => Promise<void>;
  readonly closed: Promise<void>;
  readonly #inboxPrefix: string;
  readonly #onStatus: (status: ConnectionStatus) => void;
  readonly #listeners = new Set<(isConnected: boolean) => void>();
  #isConnected = true;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #lastError: string | undefined;

  constructor(nc: NatsConnection, options: ConnectNatsOptions) {
    this.nc = nc;
    this.written = writeTogether(nc);
    readTogether(nc);
    this.clock = options.clock;
    this.#inboxPrefix = options.inboxPrefix ?? '';
    this.#onStatus = options.onStatus ?? (() => {});
    this.inbox = new ReplyInbox(nc, options.clock, {
      inbox: this.newInbox(),
      isConnected: () => this.#isConnected,
    });
    this.closed = this.#watch();
    this.#onStatus({ kind: 'connected', server: nc.getServer() });
  }

  newInbox(): string {
    return createInbox(this.#inboxPrefix);
  }

  get connected(): boolean {
    return this.#isConnected;
  }

  get isClustered(): boolean {
    return this.nc.info?.cluster !== undefined;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  onConnectivity(listener: (isConnected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  whenConnected(options: { withinMs?: number; signal?: AbortSignal } = {}): Promise<boolean> {
    const { withinMs, signal } = options;
    if (this.#isConnected || this.#isClosed || signal?.aborted === true)
      return Promise.resolve(this.#isConnected && signal?.aborted !== true);
    return new Promise((resolve) => {
      const finish = (): void => {
        forget();
        cancel?.();
        signal?.removeEventListener('abort', finish);
        resolve(this.#isConnected && signal?.aborted !== true);
      };
      const forget = this.onConnectivity((isConnected) => {
        if (isConnected || this.#isClosed) finish();
      });
      const cancel = withinMs === undefined ? undefined : this.clock.timer(Math.max(0, withinMs), finish);
      signal?.addEventListener('abort', finish, { once: true });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#flushAndClose();
    return this.#closing;
  }

  async #flushAndClose(): Promise<void> {
    if (this.#isConnected) {
      const flushed = this.nc.flush().catch(() => {});
      const isOver = new AbortController();
      await Promise.race([flushed, this.clock.sleep(FLUSH_MS, isOver.signal)]);
      isOver.abort();
    }
    await this.nc.close();
    await this.closed;
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status()) this.#observe(status);
    await this.nc.closed();
    this.#isClosed = true;
    this.#isConnected = false;
    this.inbox.loseAll('closed');
    this.#tell(false);
    this.#onStatus({ kind: 'closed' });
  }

  #observe(status: Status): void {
    if (status.type === 'disconnect' && this.#isConnected) {
      this.#isConnected = false;
      this.inbox.loseAll('disconnected');
      this.#tell(false);
      this.#onStatus({ kind: 'disconnected' });
    } else if (status.type === 'reconnect') {
      this.#isConnected = true;
      this.#lastError = undefined;
      this.#tell(true);
      this.#onStatus({ kind: 'reconnected', server: status.server });
    } else if (status.type === 'error') {
      this.#lastError = status.error.message;
      if (status.error instanceof PermissionViolationError) this.inbox.refuse(status.error);
      this.#onStatus({ kind: 'error', message: status.error.message });
    }
  }

  #tell(isConnected: boolean): void {
    for (const listener of this.#listeners) listener(isConnected);
  }
}

/** Why nothing is answered, for a message: what a broker said that turned this user away is more use than that there is none. */
export const whyAway = ({ connected, lastError }: NatsConnectionHandle): string => {
  if (connected) return 'the broker gave no answer in time';
  return lastError === undefined ? 'the broker is away' : `the broker is away (${lastError})`;
};

/**
 * Connects. Faults: `BROKER_UNREACHABLE` (later) when no server answered within `waitMs`; `BROKER_UNAUTHORIZED` (never)
 * when one refused the credentials. After the first connection nothing but `close()` ends it.
 */
export const connectNats = async (options: ConnectNatsOptions): Promise<NatsConnectionHandle> => {
  if (options.servers.length === 0)
    throw new Fault({ code: 'BROKER_UNREACHABLE', retry: 'never', message: 'no server address was given' });
  return new Connection(await dial(options), options);
};
