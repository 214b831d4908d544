// What runners report as entries of EVENTS and back. Does not redact, number or buffer: the runner has done that before.
import { decodeWith, type EntryLike, type EntryMeta, type EntryParts, type Reading } from './entry.ts';
import { REPORTS, type ReportData, type ReportName } from './reports.ts';
import { typedCodec, type Named } from './typed-codec.ts';

/** Who reports: the agent of the subject. */
export interface ReportMeta extends EntryMeta {
  readonly agent: string;
}

/** A report by its name; `data` follows from `name`. */
export type Report = Named<typeof REPORTS>;

const codec = typedCodec('evt', 'a report', REPORTS);

/** The report name of a `ce-type`, or undefined when the type is not a report known here. */
export const reportNameOf = codec.nameOf;

/**
 * An entry for `fleet.<tenant>.<project>.evt.<p>.<agent>.<name>`. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never).
 * A body over `INLINE_BODY_LIMIT_BYTES` is the caller's to shorten: the whole goes to the object store, its digest into `meta.dataref`.
 */
export const encodeReport = <Name extends ReportName>(
  name: Name,
  data: ReportData<Name>,
  { agent, ...meta }: ReportMeta,
): EntryParts => codec.encode(agent, { name, data }, meta);

/** As {@link decodeReport}, for an entry that has been opened. */
export const readReport = codec.read;

/** Reads an entry of EVENTS. `unknown` is a report of a newer version: show it, count it, go on. */
export const decodeReport = (entry: EntryLike): Reading<Report> => decodeWith(entry, codec.read);
