// The folds of the runs service as projections: buckets `runs` and `approvals` from the transitions, bucket `activity` from the reports.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import { defineSummary } from '#libs/projections/summary.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { activityViewSchema, approvalsViewSchema, runViewSchema, viewKey } from '#streams/buckets.ts';
import { foldedOf } from '#streams/entry.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { aggregateFilter, typedFilter } from '#streams/subjects.ts';
import { foldActivity, runIdOfReport, type ActivitySummary, type PlacedReport } from './activity.view.ts';
import { concernsApprovals, foldApprovals, type ApprovalsSummary } from './approvals.view.ts';
import { foldRun, type PlacedRunEvent, type RunSummary } from './run.view.ts';

const decodeTransition = (entry: StoredEntry): PlacedRunEvent | undefined => {
  const reading = foldedOf(decodeRunEvent(entry));
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, event: reading.event };
};

const runSummarySchema = runViewSchema.omit({ seq: true });

/** Bucket `runs`. */
export const runsProjection = defineSummary<PlacedRunEvent, RunSummary>({
  name: 'runs',
  version: 4,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('run')],
  bucket: 'runs',
  decode: decodeTransition,
  key: ({ boundary, event }) => viewKey(boundary, event.runId),
  begins: ({ event }) => event.type === 'fleetlog.run.created.v1',
  fold: foldRun,
  parse: (value) => runSummarySchema.parse(value),
});

const approvalsSummarySchema = approvalsViewSchema.omit({ seq: true });

/** Bucket `approvals`. */
export const approvalsProjection = defineSummary<PlacedRunEvent, ApprovalsSummary>({
  name: 'approvals',
  version: 2,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('run')],
  bucket: 'approvals',
  decode: decodeTransition,
  key: ({ boundary, event }) => (concernsApprovals(event) ? viewKey(boundary, event.runId) : undefined),
  fold: foldApprovals,
  parse: (value) => approvalsSummarySchema.parse(value),
});

const decodePlacedReport = (entry: StoredEntry): PlacedReport | undefined => {
  const reading = foldedOf(decodeReport(entry));
  if (reading.place.kind !== 'typed') return undefined;
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
export const activityProjection = defineSummary<PlacedReport, ActivitySummary>({
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
  fold: foldActivity,
  parse: (value) => activitySummarySchema.parse(value),
});
