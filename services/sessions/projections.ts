// The fold of the sessions service as a projection: bucket `sessions` from the transitions of runs.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineProjection } from '#libs/projections/projection.ts';
import { sessionViewSchema, viewKey } from '#streams/buckets.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { foldSession, type PlacedSessionEvent, type SessionSummary } from './session.view.ts';

type Nothing = Record<string, never>;
const nothing: Nothing = {};
const isSession = (state: SessionSummary | Nothing): state is SessionSummary => 'sessionId' in state;

const decode = (entry: StoredEntry): PlacedSessionEvent | undefined => {
  const reading = decodeRunEvent(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'ENTRY_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown') return undefined;
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, occurredAt: reading.envelope.timeMs, event: reading.event };
};

const summarySchema = sessionViewSchema.omit({ seq: true });

/** Bucket `sessions`. */
export const sessionsProjection = defineProjection<PlacedSessionEvent, SessionSummary | Nothing>({
  name: 'sessions',
  version: 1,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('run')],
  bucket: 'sessions',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.sessionId),
  initial: nothing,
  evolve: (state, placed) => foldSession(isSession(state) ? state : undefined, placed) ?? state,
  parse: (value) => summarySchema.parse(value),
});
