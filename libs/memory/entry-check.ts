// What a broker refuses before it looks at any expectation: bad subjects, ids, headers, sizes and batches.
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { StreamShape } from './definitions.ts';
import { refused } from './refusal.ts';
import { checkSchedule } from './schedule-header.ts';
import { isLiteralSubject, matchesSubject } from './subject-match.ts';

const DEFAULT_MAX_ENTRY_BYTES = 1_048_576;
const MAX_ID_BYTES = 255;
const MAX_BATCH = 1_000;
/** `NATS/1.0\r\n`, the closing blank line, and what each header adds to its name and value. */
const HEADER_BLOCK_BYTES = 12;
const HEADER_LINE_BYTES = 4;

const byteLength = (text: string): number => Buffer.byteLength(text);

/** Names of headers are few, and the same again and again: what was found out about one is kept. */
const MOST_NAMES = 256;
const nameBytes = new Map<string, number>();
/** The bytes of a header's name, or undefined when it is none. */
const bytesOfName = (name: string): number | undefined => {
  const known = nameBytes.get(name);
  if (known !== undefined) return known;
  if (!isHeaderName(name)) return undefined;
  if (nameBytes.size >= MOST_NAMES) nameBytes.clear();
  nameBytes.set(name, name.length);
  return name.length;
};

/** The bytes of an entry as they count against limits: body and headers, as on the wire. */
export const entryBytes = (headers: Readonly<Record<string, string>>, body: Uint8Array): number => {
  let bytes = body.length + HEADER_BLOCK_BYTES;
  for (const name in headers)
    bytes += (bytesOfName(name) ?? byteLength(name)) + byteLength(headers[name] ?? '') + HEADER_LINE_BYTES;
  return bytes;
};

const isHeaderName = (name: string): boolean => /^[!-9;-~]+$/.test(name);
const isHeaderValue = (value: string): boolean => !value.includes('\n') && !value.includes('\r');

const checkHeaders = (headers: Readonly<Record<string, string>>): void => {
  for (const name in headers)
    if (bytesOfName(name) === undefined || !isHeaderValue(headers[name] ?? ''))
      throw refused(`header "${name}" is not a name with one line of text`, { name });
};

/** Throws `LOG_REFUSED` unless the stream may store this entry. */
export const checkEntry = (stream: StreamShape, entry: NewEntry): void => {
  const { subject, id } = entry;
  if (!isLiteralSubject(subject)) throw refused(`"${subject}" is not a literal subject`, { subject });
  if (!stream.subjects.some((filter) => matchesSubject(filter, subject)))
    throw refused(`stream ${stream.name} does not take ${subject}`, { subject });
  if (id === '' || byteLength(id) > MAX_ID_BYTES || !isHeaderValue(id))
    throw refused('an id has 1 to 255 bytes of one line', { id });
  checkHeaders(entry.headers);
  const { expectedSeq } = entry;
  if (expectedSeq !== undefined && (!Number.isSafeInteger(expectedSeq) || expectedSeq < 0))
    throw refused('an expected sequence is a whole number from 0', { expectedSeq });
  const bytes = entryBytes(entry.headers, entry.body);
  const limit = stream.maxEntryBytes ?? DEFAULT_MAX_ENTRY_BYTES;
  if (bytes > limit) throw refused(`an entry has at most ${limit} bytes, not ${bytes}`, { bytes, limit });
  checkSchedule(stream, entry);
};

/** Throws `LOG_REFUSED` unless these entries can be one atomic batch. */
export const checkBatch = (stream: StreamShape, entries: readonly NewEntry[]): void => {
  if (entries.length === 0 || entries.length > MAX_BATCH)
    throw refused(`a batch has 1 to ${MAX_BATCH} entries, not ${entries.length}`);
  const ids = new Set<string>();
  const subjects = new Set<string>();
  for (const entry of entries) {
    checkEntry(stream, entry);
    if (ids.has(entry.id)) throw refused(`id ${entry.id} occurs twice in the batch`, { id: entry.id });
    if (entry.expectedSeq !== undefined && subjects.has(entry.subject))
      throw refused(`only the first entry of ${entry.subject} may carry an expected sequence`, {
        subject: entry.subject,
      });
    ids.add(entry.id);
    subjects.add(entry.subject);
  }
};
