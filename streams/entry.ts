// What every codec of this folder makes and reads: the parts of a log entry around an envelope and a JSON body.
// Knows no event; the codecs beside it (run, report, instruction, dead letter) and the catalogue build on it.
import { Fault } from '#libs/kernel/fault.ts';
import type { z } from 'zod';
import { NewerEntry } from '#libs/kernel/newer-entry.ts';
import { isPlainValue } from '#libs/kernel/plain-value.ts';
import { textBytes } from '#libs/kernel/text-bytes.ts';
import { decodeEnvelope, encodeEnvelope, MUST_UNDERSTAND, type Envelope } from './envelope.ts';
import { parseSubject, type Boundary, type ParsedSubject } from './subjects.ts';

/** A log entry but for its expectation: spread it into an append, add `expectedSeq` for an aggregate. */
export interface EntryParts {
  readonly subject: string;
  /** Dedup id; the same as `ce-id`. */
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a codec reads: any stored entry is one. */
export interface EntryLike {
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What the writer says about an entry besides its data. `type` and `subject` of the envelope follow from the data. */
export interface EntryMeta extends Omit<Envelope, 'type' | 'subject' | 'contentType'> {
  readonly boundary: Boundary;
}

/** An entry whose subject and envelope are sound. */
export interface OpenEntry {
  readonly envelope: Envelope;
  readonly place: ParsedSubject;
}
/** An entry that is of a type known here, and sound; `Fields` is what the codec read from the body. */
type KnownEntry<Fields> = OpenEntry & { readonly kind: 'known' } & Fields;
/** An entry with a sound envelope whose type is not known here: written by a newer version. Kept, shown, never dropped. */
export interface UnknownEntry extends OpenEntry {
  readonly kind: 'unknown';
  readonly type: string;
}
/** An entry that breaks the contract; `problem` is one line that names what is wrong. */
export interface ProblemEntry {
  readonly kind: 'problem';
  readonly problem: string;
}

/** What became of reading one entry. */
export type Reading<Fields> = KnownEntry<Fields> | UnknownEntry | ProblemEntry;

const decoder = new TextDecoder('utf-8', { fatal: true });

/** A value as the bytes of its JSON. */
export const jsonBytes = (value: unknown): Uint8Array => textBytes(JSON.stringify(value));

/** The value of JSON bytes; undefined when they are not UTF-8 or not JSON (JSON itself has no undefined). */
export const parseJson = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
};

/** A problem reading. */
export const problem = (text: string): ProblemEntry => ({ kind: 'problem', problem: text });

/** Every issue of a failed parse in one line. */
const issuesOf = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; ');

/** The data as the contract has it (unknown keys dropped). Throws `ENTRY_INVALID` (never): what cannot be read back is not written. */
export const checkedData = <Schema extends z.ZodType>(
  schema: Schema,
  type: string,
  data: unknown,
): z.infer<Schema> => {
  if (isPlainValue(schema, data)) return data as z.infer<Schema>;
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new Fault({
    code: 'ENTRY_INVALID',
    retry: 'never',
    message: `${type} cannot be written: ${issuesOf(parsed.error)}`,
    detail: { type },
  });
};

/** Puts an entry together. `about` is the id token of its subject and becomes `ce-subject`. */
export const encodeEntry = (
  meta: EntryMeta,
  { type, subject, about }: { readonly type: string; readonly subject: string; readonly about: string },
  data: unknown,
): EntryParts => {
  const { boundary: _boundary, ...rest } = meta;
  return {
    subject,
    id: meta.id,
    headers: encodeEnvelope({ ...rest, type, subject: about }),
    body: jsonBytes(data),
  };
};

/** The token of a subject that says what an entry is about. */
const aboutOf = (place: ParsedSubject): string => (place.kind === 'timer' ? place.owner : place.id);

/**
 * Reads everything but the body: the subject is one of ours, the envelope is sound and is about the subject's id, and
 * `ce-id` is the id under which the log deduplicates.
 */
export const openEntry = (entry: EntryLike): ({ readonly kind: 'open' } & OpenEntry) | ProblemEntry => {
  const place = parseSubject(entry.subject);
  if (place === undefined) return problem(`subject ${entry.subject}: not one of ours`);
  const reading = decodeEnvelope(entry.headers);
  if (!reading.ok) return problem(reading.problem);
  const { envelope } = reading;
  const messageId = entry.headers['Nats-Msg-Id'];
  if (messageId !== undefined && messageId !== envelope.id)
    return problem(`ce-id: ${envelope.id} is not the Nats-Msg-Id ${messageId}`);
  if (envelope.subject !== aboutOf(place))
    return problem(`ce-subject: ${envelope.subject} is not ${aboutOf(place)} of the subject`);
  return { kind: 'open', envelope, place };
};

/** A JSON value of a body (see {@link parseJson}) as its schema has it, or what is wrong with it. */
export const readValue = <Schema extends z.ZodType>(
  value: unknown,
  schema: Schema,
): { readonly kind: 'read'; readonly data: z.infer<Schema> } | ProblemEntry => {
  if (value === undefined) return problem('body: not JSON');
  if (isPlainValue(schema, value)) return { kind: 'read', data: value as z.infer<Schema> };
  const parsed = schema.safeParse(value);
  return parsed.success ? { kind: 'read', data: parsed.data } : problem(issuesOf(parsed.error));
};

/** Opens an entry and hands it to a codec. */
export const decodeWith = <Fields>(
  entry: EntryLike,
  read: (opened: OpenEntry, entry: EntryLike) => Reading<Fields>,
): Reading<Fields> => {
  const opened = openEntry(entry);
  return opened.kind === 'problem' ? opened : read(opened, entry);
};

/**
 * What a fold takes of a reading; undefined: of a type that a newer version wrote, which is passed over. Fault: `ENTRY_UNREADABLE`
 * (never) for what breaks the contract, so that the loop parks it.
 */
export const knownOf = <Fields>(reading: Reading<Fields>): KnownEntry<Fields> | undefined => {
  if (reading.kind === 'problem') throw unreadable(reading.problem);
  return reading.kind === 'known' ? reading : undefined;
};

/** As {@link knownOf} for a fold that needs every type: throws `NewerEntry` for one that is not known here, so that the loop passes over it and says so. */
export const foldedOf = <Fields>(reading: Reading<Fields>): KnownEntry<Fields> => {
  const known = knownOf(reading);
  if (known !== undefined) return known;
  throw new NewerEntry(reading.kind === 'unknown' ? reading.type : '');
};

/**
 * What a decider's history takes of a reading; undefined: of a type that a newer version wrote. It is passed over, as in every fold: while two
 * versions run, the older one goes on with what it knows. A type that it must not go on without (a new end of a life) bears the header
 * {@link MUST_UNDERSTAND}. Fault `code` (never) for that, and for what breaks the contract: nothing is decided.
 */
export const historyOf = <Fields>(
  reading: Reading<Fields>,
  { subject, headers }: EntryLike,
  code: string,
): KnownEntry<Fields> | undefined => {
  if (reading.kind === 'known') return reading;
  if (reading.kind === 'unknown' && headers[MUST_UNDERSTAND] === undefined) return undefined;
  const why = reading.kind === 'unknown' ? `${reading.type} is not known here` : reading.problem;
  throw new Fault({ code, retry: 'never', message: `${subject}: ${why}` });
};

/** The fault of an entry that breaks the contract: `ENTRY_UNREADABLE` (never). */
export const unreadable = (message: string): Fault =>
  new Fault({ code: 'ENTRY_UNREADABLE', retry: 'never', message });
