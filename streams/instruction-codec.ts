// Instructions as entries of COMMANDS and back. Ids are derived by the reactor from the transition that caused the instruction.
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
import { INSTRUCTIONS, type InstructionName } from './instructions.ts';
import { typedSubject } from './subjects.ts';

export type InstructionData<Name extends InstructionName> = z.infer<(typeof INSTRUCTIONS)[Name]['schema']>;

/** To whom: the agent or host of the subject. */
export interface InstructionMeta extends EntryMeta {
  readonly target: string;
}

/** An instruction by its name; `data` follows from `name`. */
export type Instruction = {
  [Name in InstructionName]: { readonly name: Name; readonly data: InstructionData<Name> };
}[InstructionName];

const NAME_BY_TYPE = new Map<string, InstructionName>(
  (Object.keys(INSTRUCTIONS) as InstructionName[]).map((name) => [INSTRUCTIONS[name].type, name]),
);

/** The instruction name of a `ce-type`, or undefined when the type is not one known here. */
export const instructionNameOf = (type: string): InstructionName | undefined => NAME_BY_TYPE.get(type);

/** An entry for `fleet.<tenant>.<project>.cmd.<p>.<target>.<name>`. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never). */
export const encodeInstruction = <Name extends InstructionName>(
  name: Name,
  data: InstructionData<Name>,
  { target, ...meta }: InstructionMeta,
): EntryParts => {
  const { type, schema } = INSTRUCTIONS[name];
  const subject = typedSubject(meta.boundary, 'cmd', target, name);
  return encodeEntry(meta, { type, subject, about: target }, checkedData(schema, type, data));
};

/** As {@link decodeInstruction}, for an entry that has been opened. */
export const readInstruction = ({ envelope, place }: OpenEntry, entry: EntryLike): Reading<Instruction> => {
  if (place.kind !== 'typed' || place.family !== 'cmd')
    return problem(`${envelope.type} on ${entry.subject}: not the subject of an instruction`);
  const name = instructionNameOf(envelope.type);
  if (name === undefined) return { kind: 'unknown', type: envelope.type, envelope, place };
  if (name !== place.type) return problem(`${envelope.type} on ${entry.subject}: expected …${name}`);
  const read = readValue(parseJson(entry.body), INSTRUCTIONS[name].schema);
  if (read.kind === 'problem') return read;
  // The name chooses the schema that the data was just read by.
  return { ...({ name, data: read.data } as Instruction), kind: 'known', envelope, place };
};

/** Reads an entry of COMMANDS. `unknown` is an instruction of a newer version: a runner refuses it, it does not guess. */
export const decodeInstruction = (entry: EntryLike): Reading<Instruction> =>
  decodeWith(entry, readInstruction);
