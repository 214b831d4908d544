// The folds of the runs service as projections: buckets `runs` and `approvals` from the transitions, bucket `activity` from the reports.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import { defineProjection } from '#libs/projections/projection.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { activityViewSchema, approvalsViewSchema, runViewSchema, viewKey } from '#streams/buckets.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { aggregateFilter, typedFilter } from '#streams/subjects.ts';
import { foldActivity, runIdOfReport, type ActivitySummary, type PlacedReport } from './activity.view.ts';
import { foldApprovals, type ApprovalsSummary } from './approvals.view.ts';
import { foldRun, type PlacedRunEvent, type RunSummary } from './run.view.ts';

/** The state of a key before its first event. */
type Nothing = Record<string, never>;
const nothing: Nothing = {};
const isSomething = <Summary extends { readonly runId: string }>(
  state: Summary | Nothing,
): state is Summary => 'runId' in state;

const unreadable = (what: string): Fault =>
  new Fault({ code: 'ENTRY_UNREADABLE', retry: 'never', message: what });

const decodeTransition = (entry: StoredEntry): PlacedRunEvent | undefined => {
  const reading = decodeRunEvent(entry);
  if (reading.kind === 'problem') throw unreadable(reading.problem);
  if (reading.kind === 'unknown') return undefined;
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, event: reading.event };
};

const runSummarySchema = runViewSchema.omit({ seq: true });

/** Bucket `runs`. */
export const runsProjection = defineProjection<PlacedRunEvent, RunSummary | Nothing>({
  name: 'runs',
  version: 2,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('run')],
  bucket: 'runs',
  decode: decodeTransition,
  key: ({ boundary, event }) => viewKey(boundary, event.runId),
  initial: nothing,
  evolve: (state, placed) => foldRun(isSomething(state) ? state : undefined, placed) ?? state,
  parse: (value) => runSummarySchema.parse(value),
});

const approvalsSummarySchema = approvalsViewSchema.omit({ seq: true });

/** Bucket `approvals`. */
export const approvalsProjection = defineProjection<PlacedRunEvent, ApprovalsSummary | Nothing>({
  name: 'approvals',
  version: 1,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('run')],
  bucket: 'approvals',
  decode: decodeTransition,
  key: ({ boundary, event }) => viewKey(boundary, event.runId),
  initial: nothing,
  evolve: (state, placed) => foldApprovals(isSomething(state) ? state : undefined, placed) ?? state,
  parse: (value) => approvalsSummarySchema.parse(value),
});

const decodePlacedReport = (entry: StoredEntry): PlacedReport | undefined => {
  const reading = decodeReport(entry);
  if (reading.kind === 'problem') throw unreadable(reading.problem);
  if (reading.kind === 'unknown' || reading.place.kind !== 'typed') return undefined;
  const { place, envelope } = reading;
  return {
    boundary: { tenant: place.tenant, project: place.project },
    agent: place.id,
    seq: entry.seq,
    occurredAt: envelope.timeMs,
    report: reading,
  };
};

const activitySummarySchema = activityViewSchema.omit({ seq: true });

/** Bucket `activity`. */
export const activityProjection = defineProjection<PlacedReport, ActivitySummary | Nothing>({
  name: 'activity',
  version: 1,
  stream: 'EVENTS',
  subjects: [typedFilter('evt')],
  bucket: 'activity',
  // EVENTS forgets by age and size; what it no longer holds is no longer summed up.
  history: 'what-is-left',
  decode: decodePlacedReport,
  key: ({ boundary, report }) => {
    const runId = runIdOfReport(report);
    return runId === undefined ? undefined : viewKey(boundary, runId);
  },
  initial: nothing,
  evolve: (state, placed) => foldActivity(isSomething(state) ? state : undefined, placed) ?? state,
  parse: (value) => activitySummarySchema.parse(value),
});
