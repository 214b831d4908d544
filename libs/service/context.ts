// What a service is given: its configuration, the ports, log, metrics, checks and supervised loops. Interfaces only;
// the ports come from whoever wires the process (services/wire.ts on NATS, tests on memory).
import type { Blobs } from '#libs/ports/blobs.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Publisher } from '#libs/ports/publisher.ts';
import type { RequestClient, RequestServer } from '#libs/ports/requests.ts';
import type { WorkQueue } from '#libs/ports/work-queue.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import type { Hooks } from '#libs/telemetry/hooks.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import type { Metrics } from '#libs/telemetry/metrics.ts';
import type { CheckState, Checks } from './checks.ts';

/** Everything outside the process, on one shared connection. Each call with the same name gives the same instance. */
export interface Ports {
  readonly clock: Clock;
  readonly ids: Ids;
  /** The log of a stream. */
  log(stream: string): EventLog;
  /** A bucket of keys. */
  bucket(name: string): KeyValue;
  /** A durable consumer of a stream. */
  queue(stream: string, consumer: string): WorkQueue;
  readonly requests: { readonly client: RequestClient; readonly server: RequestServer };
  readonly blobs: Blobs;
  /** The pipelined publisher of the process. */
  publisher(): Publisher;
}

/** The ports of a process while they are open. */
export interface OpenPorts {
  readonly ports: Ports;
  /** Whether the connection is up; becomes the check `ports.connection`. */
  readonly check: () => CheckState | Promise<CheckState>;
  /** Flushes and closes. Called once, after every service has stopped. */
  close(): Promise<void>;
}

/** What the opener of the ports is given. */
export interface WireTools {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly hooks: Hooks;
  /** Aborted when the process drains before the ports are open. */
  readonly signal: AbortSignal;
}

/** A loop that works until its signal aborts, then finishes what it has in hand and returns. */
export interface Loop {
  /** Unique within its service; appears in `/readyz`, metrics and the log. */
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
}

/** What one service is given. `log(stream)` is the event log of a stream; `logger` is the log of the process. */
export interface ServiceContext<Config = unknown> extends Ports {
  readonly name: string;
  readonly config: Config;
  /** Carries the service's name in every line. */
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Ready-made measurements for the loops of libs/consumers, libs/projections and the log. */
  readonly hooks: Hooks;
  /** For what is stored: knows the secrets of the process by value (its configuration, its secret-named variables). */
  readonly redactor: Redactor;
  readonly checks: Checks;
  /** Aborted when the service is to stop taking in work. */
  readonly signal: AbortSignal;
  /** How long the drain gives this service to finish. */
  readonly drainMs: number;
  /**
   * Starts a supervised loop: one that ends or throws before the drain is started again with backoff and shows in `/readyz`;
   * a broken invariant ends the process. The drain waits for it.
   */
  loop(loop: Loop): void;
}
