// What a stored message means in a bucket: a value, or a marker that there is none any more.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { KeyValueEntry, WatchEvent } from '#libs/ports/key-value.ts';
import { portFault } from './errors.ts';

const KEY = /^[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$/;
const FILTER_TOKEN = /^(?:\*|[-/_=a-zA-Z0-9]+)$/;

/** Throws `KV_REFUSED` for what is no key. */
export const checkKey = (key: string): void => {
  if (!KEY.test(key)) throw portFault('KV', 'REFUSED', `"${key}" is not a key`);
};

/** Throws `KV_REFUSED` for what is no filter of keys. */
export const checkKeyFilter = (filter: string): void => {
  const tokens = filter.split('.');
  const isGood = tokens.every(
    (token, at) => FILTER_TOKEN.test(token) || (token === '>' && at === tokens.length - 1),
  );
  if (!isGood) throw portFault('KV', 'REFUSED', `"${filter}" is not a key filter`);
};

type Marker = 'deleted' | 'expired';

/** Which marker it is; undefined for a value. Markers of the broker carry a reason, those of writers an operation. */
const markerOf = (entry: Pick<StoredEntry, 'headers' | 'body'>): Marker | undefined => {
  // A marker has no body, by the definition of buckets: headers, which cost more than all else of a value, need no look.
  if (entry.body.byteLength > 0) return undefined;
  const reason = entry.headers['Nats-Marker-Reason'];
  if (reason !== undefined) return reason === 'MaxAge' ? 'expired' : 'deleted';
  const operation = entry.headers['KV-Operation'];
  return operation === 'DEL' || operation === 'PURGE' ? 'deleted' : undefined;
};

export const isTombstone = (entry: StoredEntry): boolean => markerOf(entry) !== undefined;

/** The value at a key; undefined for a marker. `prefixLength` is that of the subject's part before the key. */
export const valueEntry = (entry: StoredEntry, prefixLength: number): KeyValueEntry | undefined =>
  isTombstone(entry) ? undefined : toEntry(entry, prefixLength);

/** With a copy of the value: as received it is a window on the socket's buffer, and keeping it would keep all of that. */
const toEntry = (entry: StoredEntry, prefixLength: number): KeyValueEntry => ({
  key: entry.subject.slice(prefixLength),
  value: new Uint8Array(entry.body),
  revision: entry.seq,
  writtenAt: entry.storedAt,
});

/** The event of a change. */
export const changeEvent = (entry: StoredEntry, prefixLength: number): WatchEvent => {
  const kind = markerOf(entry);
  if (kind === undefined) return { kind: 'put', entry: toEntry(entry, prefixLength) };
  return { kind, key: entry.subject.slice(prefixLength), revision: entry.seq };
};
