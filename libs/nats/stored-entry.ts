// Entries of the log out of the three forms in which the broker hands them out: delivered by a consumer, read directly
// from a replica, read as JSON from the leader. Headers are parsed when first looked at.
import type { Headers, StoredEntry } from '#libs/ports/event-log.ts';
import type { Msg } from '@nats-io/transport-node';
import { bodyBytes, type DeliveryFacts, readerHeaders } from './raw-message.ts';
import { parseReaderHeaders } from './wire-headers.ts';

/** A message that a consumer delivered. */
class DeliveredEntry implements StoredEntry {
  readonly seq: number;
  readonly subject: string;
  declare readonly headers: Headers;
  readonly body: Uint8Array;
  readonly storedAt: number;
  readonly #message: Msg;
  #headers: Headers | undefined;

  constructor(message: Msg, { streamSeq, storedAt }: DeliveryFacts) {
    this.seq = streamSeq;
    this.subject = message.subject;
    // Own and enumerable, so that copies of the entry have it too; one descriptor for all, since a getter each costs a µs.
    Object.defineProperty(this, 'headers', DeliveredEntry.#lazily);
    this.body = bodyBytes(message);
    this.storedAt = storedAt;
    this.#message = message;
  }

  static readonly #lazily = {
    enumerable: true,
    get(this: DeliveredEntry): Headers {
      this.#headers ??= readerHeaders(this.#message);
      return this.#headers;
    },
  };
}

export const deliveredEntry = (message: Msg, facts: DeliveryFacts): StoredEntry =>
  new DeliveredEntry(message, facts);

const DIRECT = [
  'Nats-Stream',
  'Nats-Subject',
  'Nats-Sequence',
  'Nats-Time-Stamp',
  'Nats-Num-Pending',
  'Nats-Last-Sequence',
] as const;

/** A message read directly: the broker has put what it knows of it behind the writer's own headers. */
export const directEntry = (message: Msg): StoredEntry => {
  const headers = readerHeaders(message);
  const seq = Number(headers['Nats-Sequence']);
  const subject = headers['Nats-Subject'] ?? '';
  const storedAt = epochMs(headers['Nats-Time-Stamp'] ?? '');
  for (const name of DIRECT) delete headers[name];
  return { seq, subject, headers, body: bodyBytes(message), storedAt };
};

/** The `message` object of a STREAM.MSG.GET answer. */
export interface JsonMessage {
  readonly subject: string;
  readonly seq: number;
  readonly time: string;
  readonly hdrs?: string;
  readonly data?: string;
}

/** A message read from the leader. */
export const leaderEntry = (message: JsonMessage): StoredEntry => ({
  seq: message.seq,
  subject: message.subject,
  headers: message.hdrs === undefined ? {} : parseReaderHeaders(Buffer.from(message.hdrs, 'base64')),
  body: message.data === undefined ? new Uint8Array(0) : Uint8Array.from(Buffer.from(message.data, 'base64')),
  storedAt: epochMs(message.time),
});

/** Epoch ms of an RFC 3339 time with any number of fraction digits; 0 when it is none. */
export const epochMs = (time: string): number => {
  // Three digits are what every parser agrees on.
  const text = time.replace(/(\.\d{3})\d+/, '$1');
  // oxlint-disable-next-line no-restricted-globals -- reads no clock
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? 0 : ms;
};
