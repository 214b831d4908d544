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

/** Parses a header block. A name that occurs twice keeps its last value (the broker appends its own after the writer's). */
export const parseHeaderBlock = (block: Uint8Array): ReceivedHeaders => {
  const text = Buffer.from(block.buffer, block.byteOffset, block.byteLength).toString('utf8');
  const headers: Record<string, string> = {};
  let at = text.indexOf('\r\n');
  if (at < 0) return { status: 0, description: '', headers };
  const first = text.slice(STATUS_AT, at).trim();
  const status = first === '' ? 0 : Number.parseInt(first, 10) || 0;
  for (at += 2; at < text.length;) {
    let end = text.indexOf('\r\n', at);
    if (end < 0) end = text.length;
    const colon = text.indexOf(':', at);
    if (colon > at && colon < end) {
      const from = text.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1;
      headers[text.slice(at, colon)] = text.slice(from, end);
    }
    at = end + 2;
  }
  return { status, description: first.replace(/^\d+\s*/, ''), headers };
};

/** The headers that a reader sees: without the expectation and batch headers of the transport. */
export const readerHeaders = (all: Record<string, string>): Headers => {
  for (const name in all) if (name.startsWith('Nats-') && HIDDEN.test(name)) delete all[name];
  return all;
};
