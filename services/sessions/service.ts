// Sessions — folds the transitions of runs into the summary of their session (bucket `sessions`). Decides nothing yet: a
// session has no rules of its own in this version. Any number of instances may run; one folds, the others stand by.
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineProjection } from '#libs/projections/projection.ts';
import { defineService } from '#libs/service/define-service.ts';
import { projectionLoop } from '#libs/service/loops.ts';
import { sessionViewSchema, viewKey } from '#streams/buckets.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
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

export const sessions = defineService({
  name: 'sessions',
  loops: (context) => [
    projectionLoop(context, {
      projection: sessionsProjection,
      deadLetters: createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter }),
    }),
  ],
});
