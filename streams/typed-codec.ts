// The codec of a typed family: a table of names, each with its event type and schema, as entries and back.
// The name is the last token of the subject and chooses the schema. Reports and instructions are two such tables.
import type { z } from 'zod';
import {
  checkedData,
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
import { typedSubject, type TypedFamily } from './subjects.ts';

/** Subject type token → event type and schema of the body. */
type Table = Readonly<Record<string, { readonly type: string; readonly schema: z.ZodType }>>;

/** One of the table's events by its name; `data` follows from `name`. */
export type Named<Events extends Table> = {
  [Name in keyof Events & string]: { readonly name: Name; readonly data: z.infer<Events[Name]['schema']> };
}[keyof Events & string];

export interface TypedCodec<Events extends Table> {
  /** The name of a `ce-type`, or undefined when the type is not in the table. */
  readonly nameOf: (type: string) => (keyof Events & string) | undefined;
  /** An entry for `fleet.<tenant>.<project>.<family>.<p>.<id>.<name>`. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never). */
  readonly encode: <Name extends keyof Events & string>(
    id: string,
    event: { readonly name: Name; readonly data: z.infer<Events[Name]['schema']> },
    meta: EntryMeta,
  ) => EntryParts;
  /** Reads an entry that has been opened. A type that is not in the table is `unknown`; a known one on another's subject is a problem. */
  readonly read: (opened: OpenEntry, entry: EntryLike) => Reading<Named<Events>>;
}

/** The codec of `table` on the subjects of `family`; `what` names its events in problems (`a report`). */
export const typedCodec = <Events extends Table>(
  family: TypedFamily,
  what: string,
  table: Events,
): TypedCodec<Events> => {
  type Name = keyof Events & string;
  const names = new Map((Object.keys(table) as Name[]).map((name) => [table[name]?.type, name]));
  const nameOf = (type: string): Name | undefined => names.get(type);
  return {
    nameOf,
    encode: (id, { name, data }, meta) => {
      const { type, schema } = table[name] as Events[Name];
      const subject = typedSubject(meta.boundary, family, id, name);
      return encodeEntry(meta, { type, subject, about: id }, checkedData(schema, type, data));
    },
    read: ({ envelope, place }, entry) => {
      if (place.kind !== 'typed' || place.family !== family)
        return problem(`${envelope.type} on ${entry.subject}: not the subject of ${what}`);
      const name = nameOf(envelope.type);
      if (name === undefined) return { kind: 'unknown', type: envelope.type, envelope, place };
      if (name !== place.type) return problem(`${envelope.type} on ${entry.subject}: expected …${name}`);
      const read = readValue(parseJson(entry.body), (table[name] as Events[Name]).schema);
      if (read.kind === 'problem') return read;
      // The name chooses the schema that the data was just read by.
      return { ...({ name, data: read.data } as Named<Events>), kind: 'known', envelope, place };
    },
  };
};
