// The fold of the sessions service as a projection: bucket `sessions` from the transitions of runs.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineSummary } from '#libs/projections/summary.ts';
import { sessionViewSchema, viewKey } from '#streams/buckets.ts';
import { knownOf } from '#streams/entry.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { foldSession, type PlacedSessionEvent, type SessionSummary } from './session.view.ts';

const decode = (entry: StoredEntry): PlacedSessionEvent | undefined => {
  const reading = knownOf(decodeRunEvent(entry));
  if (reading === undefined) return undefined;
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, occurredAt: reading.envelope.timeMs, event: reading.event };
};

const summarySchema = sessionViewSchema.omit({ seq: true });

/** Bucket `sessions`. */
export const sessionsProjection = defineSummary<PlacedSessionEvent, SessionSummary>({
  name: 'sessions',
  version: 1,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('run')],
  bucket: 'sessions',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.sessionId),
  fold: foldSession,
  parse: (value) => summarySchema.parse(value),
});
