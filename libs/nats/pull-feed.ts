// Pulls messages of one consumer so that at most `capacity` of them are asked for or not yet released, and the next ones are
// already on their way while these are worked on. Reports silence, refusals and a consumer that is gone; what to do about
// that is the owner's business. Neither acknowledges nor orders.
import { type CancelTimer, untilSharedMomentMs } from '#libs/ports/clock.ts';
import type { Msg, Subscription } from '@nats-io/transport-node';
import type { NatsConnectionHandle } from './connect.ts';
import { isStatus, receivedHeaders } from './raw-message.ts';

/**
 * `silent`: neither messages nor heartbeats although a pull is open. `gone`: nobody serves the consumer (deleted, not there,
 * or no leader). `refused`: the broker does not accept such a pull.
 */
export type FeedTrouble = 'silent' | 'gone' | 'refused';

export interface PullFeedOptions {
  readonly connection: NatsConnectionHandle;
  readonly stream: string;
  readonly consumer: string;
  readonly capacity: number;
  /** Whether heartbeats bring something besides that the consumer lives: then they come as often as they may. Absent: never. */
  readonly isWaiting?: () => boolean;
  readonly expiresMs: number;
  /**
   * Asks for what there is this often, in place of waiting for it: nothing that comes meanwhile wakes the process, and no heartbeats do.
   * An answer of any kind is a sign of life then. Absent: messages come as soon as they can.
   */
  readonly everyMs?: number;
  /** Most bytes of one pull, unless its first message alone has more. */
  readonly maxBytes?: number;
  /** Pulls once everything before is here and released: what is in memory are the bytes of one pull. */
  readonly isStepwise?: boolean;
  /** For prioritized consumers. */
  readonly group?: string;
  readonly priority?: number;
  readonly onMessage: (message: Msg) => void;
  readonly onTrouble: (trouble: FeedTrouble, message: string) => void;
  /** A heartbeat came: the consumer lives and has nothing to deliver. */
  readonly onIdle?: () => void;
}

const NS_PER_MS = 1_000_000;
/**
 * In a cluster: the node that serves a consumer may die, or lose the lead, while the connection to another one stays, and nothing tells.
 */
const HEARTBEAT_MS = 500;
/**
 * With a server of its own a consumer is lost with the connection, whose pings notice a hung server, or it ends with a word to its pulls. What
 * is left for heartbeats is what nobody thought of; and what each of them costs, the process and the broker, adds up to most of their idle time.
 */
const ALONE_HEARTBEAT_MS = 5_000;
/** Heartbeat periods without a sign of life that count as silence. */
const SILENT_PERIODS = 3;
const PENDING = 'Nats-Pending-Messages';

export class PullFeed {
  readonly #options: PullFeedOptions;
  readonly #inbox: string;
  readonly #subject: string;
  #subscription: Subscription | undefined;
  #outstanding = 0;
  #held = 0;
  /** The next message is larger than a pull: it is asked for alone, without a limit. */
  #isNextLarge = false;
  #gotOfPull = 0;
  #isHeard = true;
  #unheard = 0;
  #isPulling = false;
  /** Of the newest pull. */
  #heartbeatMs = HEARTBEAT_MS;
  #cancelTimer: CancelTimer | undefined;

  constructor(options: PullFeedOptions) {
    this.#options = options;
    this.#inbox = options.connection.newInbox();
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${options.stream}.${options.consumer}`;
  }

  start(): void {
    this.#subscription = this.#options.connection.nc.subscribe(this.#inbox, {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
      },
    });
    this.#isPulling = true;
    this.#pull();
    this.#listen();
  }

  /** The owner is done with this many messages. */
  release(count: number): void {
    this.#held = Math.max(0, this.#held - count);
    this.#pull();
  }

  /** Forgets the pulls under way (the broker has), and pulls anew. */
  restart(): void {
    this.#outstanding = 0;
    this.#unheard = 0;
    this.#isHeard = true;
    this.#pull();
  }

  /** Ends at once; messages on their way are lost to this feed. */
  stop(): void {
    this.#quiet();
    this.#subscription?.unsubscribe();
  }

  /** Ends; messages on their way are still handed to `onMessage` before this resolves. */
  async drain(): Promise<void> {
    this.#quiet();
    const { connection } = this.#options;
    if (this.#subscription === undefined || this.#subscription.isClosed()) return;
    if (connection.connected) await this.#subscription.drain().catch(() => {});
    else this.#subscription.unsubscribe();
  }

  #quiet(): void {
    this.#isPulling = false;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #pull(): void {
    const { connection, expiresMs, everyMs, maxBytes, group, priority } = this.#options;
    if (!this.#isPulling || !connection.connected) return;
    const isLimited = maxBytes !== undefined && !this.#isNextLarge;
    const room = this.#room();
    if (room === 0) return;
    const waiting =
      everyMs === undefined
        ? { expires: expiresMs * NS_PER_MS, idle_heartbeat: this.#chooseHeartbeatMs() * NS_PER_MS }
        : { no_wait: true };
    const request = {
      batch: room,
      ...waiting,
      ...(isLimited ? { max_bytes: maxBytes } : {}),
      ...(group === undefined ? {} : { group, priority: priority ?? 0 }),
    };
    this.#outstanding += room;
    this.#isNextLarge = false;
    this.#gotOfPull = 0;
    connection.nc.publish(this.#subject, JSON.stringify(request), { reply: this.#inbox });
  }

  /** How many to pull now. */
  #room(): number {
    const { capacity, isStepwise } = this.#options;
    const underway = this.#outstanding + this.#held;
    if (isStepwise === true && underway > 0) return 0;
    if (this.#isNextLarge) return this.#outstanding > 0 ? 0 : 1;
    const room = capacity - underway;
    return room <= 0 || (room * 2 < capacity && this.#outstanding > 0) ? 0 : room;
  }

  #chooseHeartbeatMs(): number {
    const { connection, isWaiting } = this.#options;
    const isOften = connection.isClustered || isWaiting?.() === true;
    this.#heartbeatMs = isOften ? HEARTBEAT_MS : ALONE_HEARTBEAT_MS;
    return this.#heartbeatMs;
  }

  #receive(message: Msg): void {
    this.#isHeard = true;
    if (isStatus(message)) return this.#onStatus(message);
    this.#outstanding = Math.max(0, this.#outstanding - 1);
    this.#gotOfPull += 1;
    this.#held += 1;
    this.#options.onMessage(message);
  }

  #onStatus(message: Msg): void {
    const { status, description, headers } = receivedHeaders(message);
    const { onIdle, onTrouble, everyMs } = this.#options;
    // Asked for what there is: that was all.
    const isAll = everyMs !== undefined && (status === 404 || status === 408);
    if (status === 100 || isAll) return onIdle?.();
    if (!this.#isPulling) return;
    if (status === 503) return onTrouble('gone', 'nobody serves the consumer');
    if (status === 409 && /deleted/i.test(description)) return onTrouble('gone', description);
    if (status === 400 || status === 412 || /push based|exceeded/i.test(description))
      return onTrouble('refused', `${status} ${description}`);
    this.#onEnd(headers[PENDING], description);
  }

  /** One pull has ended: expired, out of bytes, batch completed; without a count all have (new leader, shutdown). */
  #onEnd(unfilled: string | undefined, description: string): void {
    this.#outstanding = unfilled === undefined ? 0 : Math.max(0, this.#outstanding - Number(unfilled));
    this.#isNextLarge = this.#gotOfPull === 0 && /exceeds maxbytes/i.test(description);
    this.#pull();
  }

  #listen(): void {
    const { connection, onTrouble, everyMs } = this.#options;
    const { clock } = connection;
    const heartbeatMs = everyMs ?? this.#heartbeatMs;
    this.#cancelTimer = clock.timer(untilSharedMomentMs(clock, heartbeatMs), () => {
      if (!this.#isPulling) return;
      const isExpecting = this.#outstanding > 0 && connection.connected;
      this.#unheard = this.#isHeard || !isExpecting ? 0 : this.#unheard + 1;
      this.#isHeard = false;
      // Counted in periods, not by the clock: a stalled process reads its socket between two of these.
      if (this.#unheard >= SILENT_PERIODS - 1) {
        this.#unheard = 0;
        onTrouble('silent', `no heartbeat for ${SILENT_PERIODS * heartbeatMs} ms`);
      }
      if (!this.#isPulling) return;
      if (everyMs !== undefined) {
        // What was asked for last time is here, or will not come.
        this.#outstanding = 0;
        this.#pull();
      }
      this.#listen();
    });
  }
}
