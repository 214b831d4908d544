// One entry handed out by a durable consumer, and the words that end it.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Delivery } from '#libs/ports/work-queue.ts';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { DeliveryFacts } from './raw-message.ts';
import { deliveredEntry } from './stored-entry.ts';

const NS_PER_MS = 1_000_000;
const encoder = new TextEncoder();
const ACK = encoder.encode('+ACK');
const PROGRESS = encoder.encode('+WPI');

/** Says its word once; later ones are ignored. Nothing is thrown when the connection is closed: the entry comes again. */
export class NatsDelivery implements Delivery {
  readonly entry: StoredEntry;
  readonly attempt: number;
  readonly pending: number;
  readonly #nc: NatsConnection;
  readonly #replyTo: string;
  #isEnded = false;

  constructor(nc: NatsConnection, message: Msg, facts: DeliveryFacts) {
    this.#nc = nc;
    this.#replyTo = message.reply ?? '';
    this.entry = deliveredEntry(message, facts);
    this.attempt = facts.attempt;
    this.pending = facts.pending;
  }

  ack(): void {
    this.#end(ACK);
  }

  retry(delayMs: number): void {
    const delay = Math.max(0, Math.round(delayMs)) * NS_PER_MS;
    this.#end(encoder.encode(delay === 0 ? '-NAK' : `-NAK ${JSON.stringify({ delay })}`));
  }

  terminate(reason: string): void {
    this.#end(encoder.encode(`+TERM ${reason.replace(/\s+/g, ' ')}`));
  }

  extend(): void {
    if (!this.#isEnded) this.#say(PROGRESS);
  }

  #end(word: Uint8Array): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#say(word);
  }

  #say(word: Uint8Array): void {
    if (!this.#nc.isClosed()) this.#nc.publish(this.#replyTo, word);
  }
}
