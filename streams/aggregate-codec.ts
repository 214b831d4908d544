// The codec of an aggregate: its events as entries of its one subject, and back. The type is in the header `ce-type` only; the
// body holds the rest. Does not choose ids or expectations: the command handler does.
import type { z } from 'zod';
import { rememberReadings } from './decode-memo.ts';
import {
  checkedData,
  decodeWith,
  encodeEntry,
  parseJson,
  problem,
  readValue,
  type EntryLike,
  type EntryMeta,
  type EntryParts,
  type OpenEntry,
  type Reading,
} from './entry.ts';
import { aggregateSubject, type AggregateFamily } from './subjects.ts';

/** The event schemas of an aggregate. */
interface EventUnion<Event> {
  readonly options: readonly { readonly shape: { readonly type: { readonly value: string } } }[];
  readonly schema: z.ZodType<Event>;
  readonly family: AggregateFamily;
  /** What a problem calls its subject: `a run`. */
  readonly what: string;
  /** The name and value of the field that is the aggregate's id. */
  readonly idOf: (event: Event) => readonly [field: string, id: string];
}

export interface AggregateCodec<Event extends { readonly type: string }> {
  /** True for the types that {@link AggregateCodec.decode} knows. */
  readonly isType: (type: string) => type is Event['type'];
  /** An entry for the aggregate's one subject. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never). */
  readonly encode: (event: Event, meta: EntryMeta) => EntryParts;
  /** As `decode`, for an entry that has been opened. */
  readonly read: (opened: OpenEntry, entry: EntryLike) => Reading<{ readonly event: Event }>;
  /**
   * Reads an entry of the aggregate's subject. `unknown`: a type of a newer version; whoever decides from the history must not go on
   * without it. An entry of another family, or about another one than its subject says, is a problem. Readings are frozen: several readers
   * of one entry may get the same one.
   */
  readonly decode: (entry: EntryLike) => Reading<{ readonly event: Event }>;
}

/** Builds the codec of a discriminated union of events. */
export const aggregateCodec = <Event extends { readonly type: string }>({
  options,
  schema,
  family,
  what,
  idOf,
}: EventUnion<Event>): AggregateCodec<Event> => {
  const schemas: ReadonlyMap<string, z.ZodType<Event>> = new Map(
    options.map((option) => [option.shape.type.value, option as unknown as z.ZodType<Event>]),
  );
  const read = ({ envelope, place }: OpenEntry, entry: EntryLike): Reading<{ readonly event: Event }> => {
    if (place.kind !== 'aggregate' || place.family !== family)
      return problem(`${envelope.type} on ${entry.subject}: not the subject of ${what}`);
    const known = schemas.get(envelope.type);
    if (known === undefined) return { kind: 'unknown', type: envelope.type, envelope, place };
    const body = parseJson(entry.body);
    // The type first, as the schema has it; what a body says under that name is not looked at.
    const value =
      typeof body === 'object' && body !== null
        ? { type: envelope.type, ...body, ...('type' in body && { type: envelope.type }) }
        : body;
    const parsed = readValue(value, known);
    if (parsed.kind === 'problem') return parsed;
    const [field, id] = idOf(parsed.data);
    if (id !== place.id) return problem(`${field}: ${id} is not ${place.id} of the subject`);
    return { kind: 'known', event: parsed.data, envelope, place };
  };
  return {
    isType: (type): type is Event['type'] => schemas.has(type),
    encode: (event, meta) => {
      const { type, ...data } = checkedData(schema, event.type, event);
      const [, id] = idOf(event);
      return encodeEntry(
        meta,
        { type, subject: aggregateSubject(meta.boundary, family, id), about: id },
        data,
      );
    },
    read,
    decode: rememberReadings((entry) => decodeWith(entry, read)),
  };
};
