// What runners report as entries of EVENTS and back. Does not redact, number or buffer: the runner has done that before.
import {
  checkedData,
  encodeEntry,
  decodeWith,
  parseJson,
  problem,
  readValue,
  type EntryLike,
  type OpenEntry,
  type EntryMeta,
  type EntryParts,
  type Reading,
} from './entry.ts';
import { reportNameOf, REPORTS, type ReportData, type ReportName } from './reports.ts';
import { typedSubject } from './subjects.ts';

/** Who reports: the agent of the subject. */
export interface ReportMeta extends EntryMeta {
  readonly agent: string;
}

/** A report by its name; `data` follows from `name`. */
export type Report = {
  [Name in ReportName]: { readonly name: Name; readonly data: ReportData<Name> };
}[ReportName];

/**
 * An entry for `fleet.<tenant>.<project>.evt.<p>.<agent>.<name>`. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never).
 * A body over `INLINE_BODY_LIMIT_BYTES` is the caller's to shorten: the whole goes to the object store, its digest into `meta.dataref`.
 */
export const encodeReport = <Name extends ReportName>(
  name: Name,
  data: ReportData<Name>,
  { agent, ...meta }: ReportMeta,
): EntryParts => {
  const { type, schema } = REPORTS[name];
  const subject = typedSubject(meta.boundary, 'evt', agent, name);
  return encodeEntry(meta, { type, subject, about: agent }, checkedData(schema, type, data));
};

/** As {@link decodeReport}, for an entry that has been opened. */
export const readReport = ({ envelope, place }: OpenEntry, entry: EntryLike): Reading<Report> => {
  if (place.kind !== 'typed' || place.family !== 'evt')
    return problem(`${envelope.type} on ${entry.subject}: not the subject of a report`);
  const name = reportNameOf(envelope.type);
  if (name === undefined) return { kind: 'unknown', type: envelope.type, envelope, place };
  if (name !== place.type) return problem(`${envelope.type} on ${entry.subject}: expected …${name}`);
  const read = readValue(parseJson(entry.body), REPORTS[name].schema);
  if (read.kind === 'problem') return read;
  // The name chooses the schema that the data was just read by.
  return { ...({ name, data: read.data } as Report), kind: 'known', envelope, place };
};

/** Reads an entry of EVENTS. `unknown` is a report of a newer version: show it, count it, go on. */
export const decodeReport = (entry: EntryLike): Reading<Report> => decodeWith(entry, readReport);
