// The fold of the sessions service as a projection: bucket `sessions` from the transitions of runs and of sessions themselves.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineSummary } from '#libs/projections/summary.ts';
import { viewKey } from '#streams/buckets.ts';
import { foldedOf } from '#streams/entry.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { decodeSessionEvent } from '#streams/session-codec.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { foldSession, type PlacedSessionEvent, type SessionSummary } from './session.view.ts';

const decode = (entry: StoredEntry): PlacedSessionEvent | undefined => {
  const isOfSession = entry.headers['ce-type']?.startsWith('fleetlog.session.') === true;
  const reading = isOfSession ? foldedOf(decodeSessionEvent(entry)) : foldedOf(decodeRunEvent(entry));
  const { tenant, project } = reading.place;
  const { seq } = entry;
  return { boundary: { tenant, project }, seq, occurredAt: reading.envelope.timeMs, event: reading.event };
};

const summarySchema = sessionViewSchema.omit({ seq: true });

/** Bucket `sessions`. */
export const sessionsProjection = defineSummary<PlacedSessionEvent, SessionSummary>({
  name: 'sessions',
  version: 5,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('run'), aggregateFilter('session')],
  bucket: 'sessions',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.sessionId),
  fold: foldSession,
  parse: (value) => summarySchema.parse(value),
});
