// A private broker as its users see it, and what one is started with. Started by start-broker.ts.
import type { Clock } from '#libs/ports/clock.ts';
import type { AccountConfig, ClusterSettings, SyncProfile } from './broker-config.ts';
import type { ProcessExit } from './start-failure.ts';

export interface StartBrokerOptions {
  /** Path of a nats-server, as found by `locateBroker`. */
  readonly executable: string;
  /** Created when missing; belongs to this broker alone. */
  readonly dataDir: string;
  readonly accounts: readonly AccountConfig[];
  readonly clock: Clock;
  /** @default 'always' */
  readonly sync?: SyncProfile;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** A fixed port must be free; absent, a free one is chosen and kept over restarts. */
  readonly clientPort?: number;
  readonly monitorPort?: number;
  /** @default 'fleetlog' */
  readonly serverName?: string;
  readonly cluster?: ClusterSettings;
  readonly maxPayloadBytes?: number;
  readonly maxFileBytes?: number;
  readonly maxMemoryBytes?: number;
  /** See broker-config.ts. */
  readonly maxConsumersPerStream?: number;
  /** @default 120 000 */
  readonly readyWithinMs?: number;
  /** Time for a stop in order before SIGKILL. @default 30 000 */
  readonly stopGraceMs?: number;
  /** Throw-away broker of a test: killed at once and its data directory deleted when this process ends or `stop` is called. @default false */
  readonly isEphemeral?: boolean;
  /** @default true */
  readonly keepsParentAlive?: boolean;
}

/** How a broker process ended; `isExpected` when this handle asked for it. */
export interface BrokerExit extends ProcessExit {
  readonly isExpected: boolean;
}

/** A running private broker. Every method may be called in any state; calls are done one after another. */
export interface Broker extends AsyncDisposable {
  /** `nats://host:port`; the same over restarts. */
  readonly url: string;
  readonly monitorUrl: string;
  readonly clientPort: number;
  readonly dataDir: string;
  /** Process id of the current life, undefined while none runs. */
  pid(): number | undefined;
  /** The last lines of the broker's log, oldest first. */
  log(): readonly string[];
  /** Told of the end of each life until the returned function is called. */
  onExit(listener: (exit: BrokerExit) => void): () => void;
  /** Ends the current life in order, if there is one, and starts another on the same data and ports. */
  restart(): Promise<void>;
  /**
   * Has the running server take up other accounts and users; connections of users that stay are not interrupted. They count for later
   * lives, too. Fault: `BROKER_RELOAD_FAILED` (later): the server has not taken them up; see its log.
   */
  reload(accounts: readonly AccountConfig[]): Promise<void>;
  /** Ends the current life at once, as a crash would. The directory stays claimed; `restart` goes on. @default 'SIGKILL' */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Freezes the process: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends it in order and gives the data directory free. Idempotent. */
  stop(): Promise<void>;
}
