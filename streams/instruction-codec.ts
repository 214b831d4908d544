// Instructions as entries of COMMANDS and back. Ids are derived by the reactor from the transition that caused the instruction.
import type { z } from 'zod';
import { decodeWith, type EntryLike, type EntryMeta, type EntryParts, type Reading } from './entry.ts';
import { INSTRUCTIONS, type InstructionName } from './instructions.ts';
import { typedCodec, type Named } from './typed-codec.ts';

export type InstructionData<Name extends InstructionName> = z.infer<(typeof INSTRUCTIONS)[Name]['schema']>;

/** To whom: the agent or host of the subject. */
export interface InstructionMeta extends EntryMeta {
  readonly target: string;
}

/** An instruction by its name; `data` follows from `name`. */
export type Instruction = Named<typeof INSTRUCTIONS>;

const codec = typedCodec('cmd', 'an instruction', INSTRUCTIONS);

/** The instruction name of a `ce-type`, or undefined when the type is not one known here. */
export const instructionNameOf = codec.nameOf;

/** An entry for `fleet.<tenant>.<project>.cmd.<p>.<target>.<name>`. Throws `ENTRY_INVALID`, `ENVELOPE_INVALID` or `SUBJECT_INVALID` (never). */
export const encodeInstruction = <Name extends InstructionName>(
  name: Name,
  data: InstructionData<Name>,
  { target, ...meta }: InstructionMeta,
): EntryParts => codec.encode(target, { name, data }, meta);

/** As {@link decodeInstruction}, for an entry that has been opened. */
export const readInstruction = codec.read;

/** Reads an entry of COMMANDS. `unknown` is an instruction of a newer version: a runner refuses it, it does not guess. */
export const decodeInstruction = (entry: EntryLike): Reading<Instruction> => decodeWith(entry, codec.read);
