// NATS message headers to and from bytes, without the client's header object: building one costs more than sending the
// message. Refuses what would break out of a header line. Does not know what any header means, except which ones the
// transport sets itself.
import type { Headers } from '#libs/ports/event-log.ts';
import { portFault } from './errors.ts';

const VERSION = 'NATS/1.0\r\n';
const LINE_BREAK = /[\r\n]/;
const NAME = /^[!-9;-~]+$/;

/** Names seen to be well-formed. Bounded: names come from code, but a caller could make them up. */
const knownNames = new Set<string>();
const KNOWN_NAMES_MAX = 512;

/** Written by the transport for one attempt; what a caller passes under these names is not sent, and they are not handed out. */
const TRANSPORT = /^Nats-(?:Msg-Id|Expected-|Batch-)/;
const HIDDEN = /^Nats-(?:Expected-|Batch-)/;

const isName = (name: string): boolean => {
  if (knownNames.has(name)) return true;
  if (!NAME.test(name)) return false;
  if (knownNames.size < KNOWN_NAMES_MAX && !TRANSPORT.test(name)) knownNames.add(name);
  return true;
};

/** `Name: value` as a line. The caller vouches for the value. */
export const headerLine = (name: string, value: string | number): string => `${name}: ${value}\r\n`;

/** The header lines of a caller, without those that the transport sets. Fault `LOG_REFUSED` for what is not one line of text. */
export const headerLines = (headers: Headers): string => {
  let text = '';
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined) continue;
    if (!isName(name) || LINE_BREAK.test(value))
      throw portFault('LOG', 'REFUSED', `header "${name}" is not a name with one line of text`);
    if (knownNames.has(name) || !TRANSPORT.test(name)) text += `${name}: ${value}\r\n`;
  }
  return text;
};

/** A complete header block from header lines. */
export const headerBlock = (lines: string): Uint8Array => Buffer.from(`${VERSION}${lines}\r\n`, 'utf8');

/** A status line or headers, as received. */
export interface ReceivedHeaders {
  /** 0 when there is no status. */
  readonly status: number;
  readonly description: string;
  readonly headers: Record<string, string>;
}

const STATUS_AT = 8;

/** A header name as received, and whether readers do not see it. */
interface ReceivedName {
  readonly name: string;
  readonly isHidden: boolean;
}

/** Names by what is quickly seen of them, so that few have to be cut out and looked up anew: one text a name makes headers twice as cheap. */
const receivedNames = new Map<number, ReceivedName>();

const nameOf = (text: string, from: number, to: number): ReceivedName => {
  const length = to - from;
  const sight = (text.charCodeAt(from + (length >> 1)) * 256 + text.charCodeAt(to - 1)) * 256 + length;
  const known = receivedNames.get(sight);
  if (known?.name.length === length && text.startsWith(known.name, from)) return known;
  const name = text.slice(from, to);
  const received = { name, isHidden: HIDDEN.test(name) };
  if (receivedNames.size < KNOWN_NAMES_MAX) receivedNames.set(sight, received);
  return received;
};

/** The headers of a block from its second line on. A name that occurs twice keeps its last value (the broker appends its own after the writer's). */
const readLines = (text: string, firstEnd: number, isForReaders: boolean): Record<string, string> => {
  const headers: Record<string, string> = {};
  for (let at = firstEnd + 2; at < text.length;) {
    let end = text.indexOf('\r\n', at);
    if (end < 0) end = text.length;
    const colon = text.indexOf(':', at);
    if (colon > at && colon < end) {
      const { name, isHidden } = nameOf(text, at, colon);
      const from = text.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1;
      // Left out, and not taken out later: an object that loses a member is slow from then on.
      if (!isForReaders || !isHidden) headers[name] = text.slice(from, end);
    }
    at = end + 2;
  }
  return headers;
};

const textOf = (block: Uint8Array): string =>
  Buffer.from(block.buffer, block.byteOffset, block.byteLength).toString('utf8');

/** Parses a header block. */
export const parseHeaderBlock = (block: Uint8Array): ReceivedHeaders => {
  const text = textOf(block);
  const firstEnd = text.indexOf('\r\n');
  if (firstEnd < 0) return { status: 0, description: '', headers: {} };
  const headers = readLines(text, firstEnd, false);
  if (firstEnd === STATUS_AT) return { status: 0, description: '', headers };
  const first = text.slice(STATUS_AT, firstEnd).trim();
  const status = Number.parseInt(first, 10) || 0;
  return { status, description: first.replace(/^\d+\s*/, ''), headers };
};

/** The headers that a reader of the log sees: without the expectation and batch headers of the transport. */
export const parseReaderHeaders = (block: Uint8Array): Record<string, string> => {
  const text = textOf(block);
  const firstEnd = text.indexOf('\r\n');
  return firstEnd < 0 ? {} : readLines(text, firstEnd, true);
};
