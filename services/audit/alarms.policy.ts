// Which alarms are due, and which are over, by what the numbers of a runner's reports say. Pure.
// A hole is given time: a refused report is overtaken while it waits, and a gap report may be far behind what it tells of.
import type { ReportData } from '#streams/reports.ts';
import type { NumberingView } from '#streams/source-view.ts';
import { sizeOf, type NumberRange } from './number-ranges.view.ts';
import type { SourceSummary } from './source.view.ts';

export interface AlarmRules {
  /** Age at which a hole is an alarm, and least time between two alarms of repeated reports of one runner, ms. */
  readonly graceMs: number;
  /** Now, epoch ms. */
  readonly now: number;
  /** Whether the stream still has everything it ever had. */
  readonly isWhole: boolean;
}

/** Ranges that one alarm names at most; more are told in another. */
const MAX_RANGES = 100;

type Pairs = [number, number][];
const pairs = (ranges: readonly NumberRange[]): Pairs =>
  ranges.slice(0, MAX_RANGES).map(([first, last]) => [first, last]);

type Hole = NumberingView['missing'][number];

const isDue = ({ alarmSeq, seenAt, isHead }: Hole, { graceMs, now, isWhole }: AlarmRules): boolean =>
  alarmSeq === null && now - seenAt >= graceMs && (isWhole || !isHead);

const missingAlarm = (
  { buffer, missing }: NumberingView,
  rules: AlarmRules,
): ReportData<'source-alarm'> | undefined => {
  const holes = missing.filter((hole) => isDue(hole, rules));
  const first = holes[0];
  if (first === undefined) return undefined;
  const ranges = pairs(holes.map(({ range }) => range));
  const { seenSeq: noticedSeq, seenAt: noticedAt } = first;
  return { problem: 'missing', buffer, ranges, reports: sizeOf(ranges), noticedSeq, noticedAt };
};

const repeatedAlarm = (
  { buffer, repeated }: NumberingView,
  alarmAt: number,
  { graceMs, now }: AlarmRules,
): ReportData<'source-alarm'> | undefined => {
  // A runner that repeats thousands is told of now and then, with how many it were.
  if (repeated === null || now - alarmAt < graceMs) return undefined;
  const { range, reports, seenSeq: noticedSeq, seenAt: noticedAt } = repeated;
  return { problem: 'repeated', buffer, ranges: pairs([range]), reports, noticedSeq, noticedAt };
};

/** The alarm that is due first; the next follows when this one is on record. */
export const dueAlarm = (view: SourceSummary, rules: AlarmRules): ReportData<'source-alarm'> | undefined => {
  for (const numbering of view.numberings) {
    const due = missingAlarm(numbering, rules) ?? repeatedAlarm(numbering, view.alarmAt, rules);
    if (due !== undefined) return due;
  }
  return undefined;
};

/** What is no longer missing and has not been told. */
export const dueClearing = (view: SourceSummary): ReportData<'source-cleared'> | undefined => {
  const numbering = view.numberings.find(({ cleared }) => cleared.length > 0);
  if (numbering === undefined) return undefined;
  const ranges = pairs(numbering.cleared);
  return { buffer: numbering.buffer, ranges, reports: sizeOf(ranges) };
};

/** The numbers that are missing by alarms on record, by numbering. */
export const alarmedOf = (
  view: Pick<SourceSummary, 'numberings'>,
): readonly { readonly buffer: string; readonly ranges: readonly NumberRange[] }[] =>
  view.numberings.flatMap(({ buffer, missing }) => {
    const ranges = missing.flatMap(({ alarmSeq, range }) => (alarmSeq === null ? [] : [range]));
    return ranges.length === 0 ? [] : [{ buffer, ranges }];
  });
