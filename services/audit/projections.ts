// The fold of the audit service as a projection: bucket `sources` from the numbers that reports carry. Bodies are read of those
// only that are about numbers. What cannot be read is parked by the loop and skipped.
import { defineSummary } from '#libs/projections/summary.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { viewKey } from '#streams/buckets.ts';
import { knownOf, unreadable } from '#streams/entry.ts';
import { decodeEnvelope, type Envelope } from '#streams/envelope.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { REPORTS } from '#streams/reports.ts';
import { sourceViewSchema } from '#streams/source-view.ts';
import { parseSubject, typedFilter } from '#streams/subjects.ts';
import type { NumberRange } from './number-ranges.view.ts';
import { foldSource, type SourceEvent, type SourceSummary } from './source.view.ts';

const ABOUT_NUMBERS: ReadonlySet<string> = new Set([
  REPORTS.gap.type,
  REPORTS['source-alarm'].type,
  REPORTS['source-cleared'].type,
]);

type What =
  | { readonly kind: 'report'; readonly named: readonly NumberRange[] }
  | Pick<Extract<SourceEvent, { readonly kind: 'alarm' }>, 'kind' | 'alarm'>
  | Pick<Extract<SourceEvent, { readonly kind: 'cleared' }>, 'kind' | 'cleared'>;

/** What an entry says about numbers besides carrying one. */
const whatOf = (entry: StoredEntry, { type }: Envelope): What => {
  if (!ABOUT_NUMBERS.has(type)) return { kind: 'report', named: [] };
  const reading = knownOf(decodeReport(entry));
  if (reading === undefined) return { kind: 'report', named: [] };
  if (reading.name === 'source-alarm') return { kind: 'alarm', alarm: reading.data };
  if (reading.name === 'source-cleared') return { kind: 'cleared', cleared: reading.data };
  if (reading.name !== 'gap') return { kind: 'report', named: [] };
  const { firstSourceSeq, lastSourceSeq, ranges } = reading.data;
  const named = ranges ?? [[firstSourceSeq, lastSourceSeq] as const];
  return { kind: 'report', named: named.filter(([first, last]) => first > 0 && first <= last) };
};

const decode = (entry: StoredEntry): SourceEvent | undefined => {
  const subject = parseSubject(entry.subject);
  if (subject?.kind !== 'typed') throw unreadable(`${entry.subject} is no subject of a report`);
  const reading = decodeEnvelope(entry.headers);
  if (!reading.ok) throw unreadable(reading.problem);
  const { envelope } = reading;
  const { tenant, project, id: agent } = subject;
  const place = { seq: entry.seq, storedAt: entry.storedAt };
  const at = { boundary: { tenant, project }, agent, place };
  const what = whatOf(entry, envelope);
  if (what.kind !== 'report') return { ...at, ...what };
  const { sourceSeq: number = 0, sourceBuffer: buffer = '' } = envelope;
  // Reports of the control plane about a runner carry no number.
  return number === 0 ? undefined : { ...at, ...what, number, buffer };
};

const summarySchema = sourceViewSchema.omit({ seq: true });

/** Bucket `sources`. */
export const sourcesProjection = defineSummary<SourceEvent, SourceSummary>({
  name: 'sources',
  version: 1,
  stream: 'EVENTS',
  subjects: [typedFilter('evt')],
  bucket: 'sources',
  history: 'what-is-left',
  decode,
  key: ({ boundary, agent }) => viewKey(boundary, agent),
  fold: foldSource,
  parse: (value) => summarySchema.parse(value),
});
