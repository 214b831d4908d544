// Run events as entries of TRANSITIONS and back. The type is in the header `ce-type` only; the body holds the rest.
// Does not choose ids or expectations: the command handler does.
import type { z } from 'zod';
import {
  checkedData,
  encodeEntry,
  decodeWith,
  parseJson,
  problem,
  readValue,
  type EntryLike,
  type OpenEntry,
  type EntryMeta,
  type EntryParts,
  type Reading,
} from './entry.ts';
import { runEventSchema, type RunEvent } from './run.ts';
import { aggregateSubject } from './subjects.ts';

export type RunEventType = RunEvent['type'];

const SCHEMA_BY_TYPE: ReadonlyMap<string, z.ZodType<RunEvent>> = new Map(
  runEventSchema.options.map((option) => [option.shape.type.value, option as z.ZodType<RunEvent>]),
);

/** True for the types that {@link decodeRunEvent} knows. */
export const isRunEventType = (type: string): type is RunEventType => SCHEMA_BY_TYPE.has(type);

/** An entry for the run's one subject. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never). */
export const encodeRunEvent = (event: RunEvent, meta: EntryMeta): EntryParts => {
  const { type, ...data } = checkedData(runEventSchema, event.type, event);
  const subject = aggregateSubject(meta.boundary, 'run', data.runId);
  return encodeEntry(meta, { type, subject, about: data.runId }, data);
};

/** As {@link decodeRunEvent}, for an entry that has been opened. */
export const readRunEvent = (
  { envelope, place }: OpenEntry,
  entry: EntryLike,
): Reading<{ readonly event: RunEvent }> => {
  if (place.kind !== 'aggregate' || place.family !== 'run')
    return problem(`${envelope.type} on ${entry.subject}: not the subject of a run`);
  const schema = SCHEMA_BY_TYPE.get(envelope.type);
  if (schema === undefined) return { kind: 'unknown', type: envelope.type, envelope, place };
  const body = parseJson(entry.body);
  const value = typeof body === 'object' && body !== null ? { ...body, type: envelope.type } : body;
  const read = readValue(value, schema);
  if (read.kind === 'problem') return read;
  if (read.data.runId !== place.id)
    return problem(`runId: ${read.data.runId} is not ${place.id} of the subject`);
  return { kind: 'known', event: read.data, envelope, place };
};

/**
 * Reads an entry of a run's subject. `unknown`: a type of a newer version; whoever decides from the history must not go on without it.
 * An entry of another family, or about another run than its subject says, is a problem.
 */
export const decodeRunEvent = (entry: EntryLike): Reading<{ readonly event: RunEvent }> =>
  decodeWith(entry, readRunEvent);
