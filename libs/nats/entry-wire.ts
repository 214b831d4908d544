// What an entry looks like on the wire, and what is refused before anything is sent: bad subjects, ids, headers,
// expectations. Whether the stream takes the subject and the size is the broker's to say.
import type { Fault } from '#libs/kernel/fault.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import { portFault } from './errors.ts';
import { headerBlock, headerLine, headerLines } from './wire-headers.ts';

const TOKENS = /^[^\s.]+(?:\.[^\s.]+)*$/;
const WILDCARD = /(?:^|\.)[*>](?:\.|$)/;
const MAX_ID_BYTES = 255;
const BAD_ID = /[\r\n]|^\s|\s$/;
const MAX_BATCH = 1_000;

export const refused = (message: string): Fault => portFault('LOG', 'REFUSED', message);

/** Throws `LOG_REFUSED` unless `subject` is one that can be appended to. */
export const checkLiteral = (subject: string): void => {
  if (!TOKENS.test(subject) || WILDCARD.test(subject)) throw refused(`"${subject}" is not a literal subject`);
};

const checkId = (id: string): void => {
  // A character has at most three bytes in UTF-8 for each UTF-16 unit.
  const isShort = id.length * 3 <= MAX_ID_BYTES || Buffer.byteLength(id) <= MAX_ID_BYTES;
  if (id === '' || !isShort || BAD_ID.test(id)) throw refused(`id "${id}" is not 1 to 255 bytes of one line`);
};

/** Throws `LOG_REFUSED` for what no stream can store. Headers are checked when they are written. */
export const checkEntry = (entry: NewEntry): void => {
  checkLiteral(entry.subject);
  checkId(entry.id);
  const { expectedSeq } = entry;
  if (expectedSeq !== undefined && (!Number.isSafeInteger(expectedSeq) || expectedSeq < 0))
    throw refused('an expected sequence is a whole number from 0');
};

/** Throws `LOG_REFUSED` unless these entries can be one atomic batch. */
export const checkBatch = (entries: readonly NewEntry[]): void => {
  if (entries.length === 0 || entries.length > MAX_BATCH)
    throw refused(`a batch has 1 to ${MAX_BATCH} entries, not ${entries.length}`);
  const ids = new Set<string>();
  const subjects = new Set<string>();
  for (const entry of entries) {
    checkEntry(entry);
    if (ids.has(entry.id)) throw refused(`id ${entry.id} occurs twice in the batch`);
    if (entry.expectedSeq !== undefined && subjects.has(entry.subject))
      throw refused(`only the first entry of ${entry.subject} may carry an expected sequence`);
    ids.add(entry.id);
    subjects.add(entry.subject);
  }
};

/** Place of an entry in an atomic batch. */
export interface BatchPlace {
  readonly batchId: string;
  /** From 1. */
  readonly position: number;
  readonly isLast: boolean;
}

/** The header lines of an entry with its id and expectation. Fault `LOG_REFUSED` for headers that are not lines of text. */
export const entryLines = (entry: Omit<NewEntry, 'body'>): string => {
  const lines = headerLine('Nats-Msg-Id', entry.id) + headerLines(entry.headers);
  return entry.expectedSeq === undefined
    ? lines
    : lines + headerLine('Nats-Expected-Last-Subject-Sequence', entry.expectedSeq);
};

/** The header block of an entry that is sent alone. Fault `LOG_REFUSED`. */
export const entryHeaders = (entry: Omit<NewEntry, 'body'>): Uint8Array => headerBlock(entryLines(entry));

/** That of an entry which is stored only right behind the one with the id `afterId`, whatever its subject. Fault `LOG_REFUSED`. */
export const followingHeaders = (entry: Omit<NewEntry, 'body'>, afterId: string): Uint8Array =>
  headerBlock(entryLines(entry) + headerLine('Nats-Expected-Last-Msg-Id', afterId));

/** The header block of an entry at its place in a batch. */
export const batchHeaders = (lines: string, place: BatchPlace): Uint8Array =>
  headerBlock(
    `${lines}Nats-Batch-Id: ${place.batchId}\r\nNats-Batch-Sequence: ${place.position}\r\n${place.isLast ? COMMIT : ''}`,
  );

const COMMIT = 'Nats-Batch-Commit: 1\r\n';
const BATCH_LINES_BYTES = 128;

/** Throws `LOG_REFUSED` when an entry is beyond the broker's limit for one message. Returns its bytes, roughly. */
export const checkSize = (lines: string, body: Uint8Array, mostBytes: number): number => {
  const atMost = lines.length * 3 + body.length + BATCH_LINES_BYTES;
  if (atMost > mostBytes) {
    const bytes = Buffer.byteLength(lines) + body.length + BATCH_LINES_BYTES;
    if (bytes > mostBytes) throw refused(`an entry has at most ${mostBytes} bytes, not ${bytes}`);
  }
  return atMost;
};
