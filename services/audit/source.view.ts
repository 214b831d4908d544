// What the numbers of one runner's reports say, as a fold (bucket `sources`): which numbering a report belongs to, and what of it is
// missing or came twice. A new buffer that goes on above every number seen continues the numbering; one that begins anew starts
// another. Pure and total. Judges nothing by time: alarms.policy.ts does.
import type { ReportData } from '#streams/reports.ts';
import type { NumberingView, SourceView } from '#streams/source-view.ts';
import type { Boundary } from '#streams/subjects.ts';
import { sizeOf, type NumberRange } from './number-ranges.view.ts';
import {
  continuedBy,
  newNumbering,
  trimmed,
  withAlarm,
  withClearingTold,
  withNamed,
  withNumber,
  withRepeatsTold,
  type Place,
} from './numbering.view.ts';

/** The value of the bucket without its stamp. */
export type SourceSummary = Omit<SourceView, 'seq'>;

/** Numberings that are kept of a runner. */
const MAX_NUMBERINGS = 4;

/** An entry of EVENTS as far as it is about numbers. */
export type SourceEvent = { readonly boundary: Boundary; readonly agent: string; readonly place: Place } & (
  | {
      readonly kind: 'report';
      readonly number: number;
      readonly buffer: string;
      /** What a gap report says is missing. */
      readonly named: readonly NumberRange[];
    }
  | { readonly kind: 'alarm'; readonly alarm: ReportData<'source-alarm'> }
  | { readonly kind: 'cleared'; readonly cleared: ReportData<'source-cleared'> }
);

const opened = ({ boundary, agent }: SourceEvent): SourceSummary => ({
  tenant: boundary.tenant,
  project: boundary.project,
  agent,
  reports: 0,
  lastReportAt: 0,
  repeated: 0,
  unlisted: 0,
  numberings: [],
  alarmSeq: 0,
  alarmAt: 0,
  clearedSeq: 0,
});

const replaced = (view: SourceSummary, at: number, numbering: NumberingView): SourceSummary => {
  const { numbering: kept, unlisted } = trimmed(numbering);
  return {
    ...view,
    numberings: view.numberings.with(at, kept),
    unlisted: view.unlisted + unlisted,
  };
};

/** With another numbering at the end; the oldest gives way. */
const begun = (view: SourceSummary, buffer: string): SourceSummary => {
  const numberings = [...view.numberings, newNumbering(buffer)];
  const gone = numberings.length > MAX_NUMBERINGS ? numberings.shift() : undefined;
  const lost = gone === undefined ? 0 : sizeOf(gone.missing.map(({ range }) => range));
  return { ...view, numberings, unlisted: view.unlisted + lost };
};

/** The numbering of a report: that of its buffer; else the newest, if the number goes on with it; else a new one. */
const located = (
  view: SourceSummary,
  buffer: string,
  number: number,
): { readonly view: SourceSummary; readonly at: number } => {
  const known = view.numberings.findLastIndex(({ buffers }) => buffers.includes(buffer));
  if (known >= 0) return { view, at: known };
  const newest = view.numberings.at(-1);
  const at = view.numberings.length - 1;
  if (newest !== undefined && number > newest.highSeq)
    return { view: { ...view, numberings: view.numberings.with(at, continuedBy(newest, buffer)) }, at };
  const more = begun(view, buffer);
  return { view: more, at: more.numberings.length - 1 };
};

const foldReport = (
  view: SourceSummary,
  { number, buffer, named, place }: Extract<SourceEvent, { readonly kind: 'report' }>,
): SourceSummary => {
  const { view: found, at } = located(view, buffer, number);
  const before = found.numberings[at] ?? newNumbering(buffer);
  const isFirst = view.numberings.length === 0;
  const after = withNumber(before, number, place, isFirst);
  const isRepeat = after.repeated !== before.repeated;
  return {
    ...replaced(found, at, named.length === 0 ? after : withNamed(after, named)),
    reports: view.reports + 1,
    lastReportAt: place.storedAt,
    repeated: view.repeated + (isRepeat ? 1 : 0),
  };
};

const changed = (
  view: SourceSummary,
  buffer: string,
  change: (numbering: NumberingView) => NumberingView,
): SourceSummary => {
  const at = view.numberings.findLastIndex((numbering) => numbering.buffer === buffer);
  const numbering = view.numberings[at];
  return numbering === undefined ? view : replaced(view, at, change(numbering));
};

/** The summary after one more entry. */
export const foldSource = (view: SourceSummary | undefined, event: SourceEvent): SourceSummary => {
  const before = view ?? opened(event);
  const { seq, storedAt } = event.place;
  if (event.kind === 'report') return foldReport(before, event);
  if (event.kind === 'cleared') {
    const { buffer, ranges } = event.cleared;
    const after = changed(before, buffer, (numbering) => withClearingTold(numbering, ranges));
    return { ...after, clearedSeq: seq };
  }
  const { buffer, ranges, problem, reports } = event.alarm;
  const after = changed(before, buffer, (numbering) =>
    problem === 'missing' ? withAlarm(numbering, ranges, seq) : withRepeatsTold(numbering, reports),
  );
  return { ...after, alarmSeq: seq, alarmAt: storedAt };
};
