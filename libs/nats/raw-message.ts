// Reads from a received message what the client would only give through costlier objects: its header bytes and its
// acknowledgement subject. The client keeps them in fields of its own (version pinned); should these change, the
// client's public accessors are used instead.
import type { Msg } from '@nats-io/transport-node';
import { type ReceivedHeaders, parseHeaderBlock, parseReaderHeaders } from './wire-headers.ts';

interface ClientFields {
  readonly _rdata?: Uint8Array;
  readonly _msg?: { readonly hdr?: number; readonly reply?: Uint8Array; readonly subject?: Uint8Array };
}

const EMPTY: ReceivedHeaders = { status: 0, description: '', headers: {} };
const encoder = new TextEncoder();

/** The header block of a message, or undefined when it has none. */
const headerBytes = (message: Msg): Uint8Array | undefined => {
  const { _rdata, _msg } = message as unknown as ClientFields;
  if (_rdata instanceof Uint8Array && typeof _msg?.hdr === 'number')
    return _msg.hdr > 0 ? _rdata.subarray(0, _msg.hdr) : undefined;
  const lines = [...(message.headers ?? [])].flatMap(([name, values]) =>
    values.map((value) => `${name}: ${value}\r\n`),
  );
  const status = message.headers?.code ?? 0;
  if (message.headers === undefined) return undefined;
  return encoder.encode(
    `NATS/1.0${status > 0 ? ` ${status} ${message.headers.description}` : ''}\r\n${lines.join('')}\r\n`,
  );
};

/** The body of a message as plain bytes: a window on the socket's buffer, without the ways of Node's Buffer. */
export const bodyBytes = ({ data }: Msg): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** The subject of a message as it came, if the client still has it. */
export const subjectBytes = (message: Msg): Uint8Array | undefined => {
  const bytes = (message as unknown as ClientFields)._msg?.subject;
  return bytes instanceof Uint8Array ? bytes : undefined;
};

/** All of what the socket brought last: many messages are in it, and a window on it costs more than the text that is read through it. */
let lookedAt: Buffer = Buffer.alloc(0);

/** The subject of a message from a place on; it is ASCII there. A text of its own, not a window on the whole subject. */
export const subjectFrom = (message: Msg, place: number): string => {
  const bytes = subjectBytes(message);
  if (bytes === undefined) return message.subject.slice(place);
  if (lookedAt.buffer !== bytes.buffer) lookedAt = Buffer.from(bytes.buffer);
  return lookedAt.toString('latin1', bytes.byteOffset + place, bytes.byteOffset + bytes.byteLength);
};

/** Headers and status of a message. */
export const receivedHeaders = (message: Msg): ReceivedHeaders => {
  const bytes = headerBytes(message);
  return bytes === undefined ? EMPTY : parseHeaderBlock(bytes);
};

/** Headers of a message as a reader of the log sees them. */
export const readerHeaders = (message: Msg): Record<string, string> => {
  const bytes = headerBytes(message);
  return bytes === undefined ? {} : parseReaderHeaders(bytes);
};

/** Whether the message is a status of the broker ("NATS/1.0 503"), and not content. */
export const isStatus = (message: Msg): boolean => {
  const { _rdata, _msg } = message as unknown as ClientFields;
  // Asked for each message: nothing is made for it.
  if (_rdata instanceof Uint8Array && typeof _msg?.hdr === 'number')
    return _msg.hdr > 0 && _rdata[8] === SPACE;
  return headerBytes(message)?.[8] === SPACE;
};

/** Whether nobody listens to the subject of a request. */
export const isUnserved = (message: Msg): boolean =>
  message.data.length === 0 && isStatus(message) && receivedHeaders(message).status === 503;

const replyBytes = (message: Msg): Uint8Array => {
  const { _msg } = message as unknown as ClientFields;
  return _msg?.reply instanceof Uint8Array ? _msg.reply : encoder.encode(message.reply ?? '');
};

/** What the acknowledgement subject of a delivered message says. */
export interface DeliveryFacts {
  readonly attempt: number;
  readonly streamSeq: number;
  readonly consumerSeq: number;
  /** Epoch ms. */
  readonly storedAt: number;
  readonly pending: number;
}

const SPACE = 32;
const DOT = 46;
const ZERO = 48;

const countDots = (bytes: Uint8Array): number => {
  let dots = 0;
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] === DOT) dots += 1;
  return dots;
};

/** Where token number `token` (from 0) begins. */
const tokenStart = (bytes: Uint8Array, token: number): number => {
  let at = 0;
  for (let left = token; left > 0 && at < bytes.length; at += 1) if (bytes[at] === DOT) left -= 1;
  return at;
};

/** Place of the reader in the subject being parsed; parsing is synchronous. */
let cursor = 0;

/** The number at the cursor, of which only the first digits count; moves the cursor behind its dot. */
const readNumber = (bytes: Uint8Array, digits: number): number => {
  let value = 0;
  const end = cursor + digits;
  for (; cursor < bytes.length && bytes[cursor] !== DOT; cursor += 1)
    if (cursor < end) value = value * 10 + ((bytes[cursor] ?? ZERO) - ZERO);
  cursor += 1;
  return value;
};

/** What stood before the numbers last time: most messages that come together are of one consumer, and have the same. */
let lastPrefix: Uint8Array = new Uint8Array(0);

const hasLastPrefix = (bytes: Uint8Array): boolean => {
  const { length } = lastPrefix;
  if (length === 0 || bytes.length <= length) return false;
  // Consumers differ at the end of it.
  for (let at = length - 1; at >= 0; at -= 1) if (bytes[at] !== lastPrefix[at]) return false;
  return true;
};

/** Where the numbers begin; 0: it has none. */
const numbersAt = (bytes: Uint8Array): number => {
  if (hasLastPrefix(bytes)) return lastPrefix.length;
  const dots = countDots(bytes);
  if (dots < 8) return 0;
  const from = tokenStart(bytes, dots >= 10 ? 6 : 4);
  lastPrefix = bytes.slice(0, from);
  return from;
};

const MOST_DIGITS = 20;
/** Nanoseconds do not fit a double: of 19 digits the last six are left out. */
const MS_DIGITS = 13;

/**
 * Parses `$JS.ACK[.<domain>.<account>].<stream>.<consumer>.<attempt>.<stream seq>.<consumer seq>.<ns>.<pending>[.…]`.
 * Undefined for anything else.
 */
export const deliveryFacts = (message: Msg): DeliveryFacts | undefined => {
  const bytes = replyBytes(message);
  cursor = numbersAt(bytes);
  if (cursor === 0) return undefined;
  return {
    attempt: readNumber(bytes, MOST_DIGITS),
    streamSeq: readNumber(bytes, MOST_DIGITS),
    consumerSeq: readNumber(bytes, MOST_DIGITS),
    storedAt: readNumber(bytes, MS_DIGITS),
    pending: readNumber(bytes, MOST_DIGITS),
  };
};
