// The turns in hand, kept beside the buffer's records and changed in the same transactions: what a runner finds after its own crash.
// A turn is in the journal from before its run is asked for until its result is on disk.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import { turnIdSchema } from '#streams/ids.ts';
import { INSTRUCTIONS, type TurnInstruction } from '#streams/instructions.ts';

const PREFIX = 'turn:';

const entrySchema = z.object({
  instruction: INSTRUCTIONS.turn.schema,
  /** The same at every repeat of the claim, so that a repeat gets the first answer. */
  claimId: z.string().min(1).max(128),
  turnId: turnIdSchema,
  /** Null: the run has been asked for, and no program has been started. */
  held: z
    .object({ fence: z.int().positive(), leaseMs: z.int().positive(), startedAt: z.int().nonnegative() })
    .nullable(),
  /** What the agent said of its work so far; null: nothing. Absent in entries of older versions. */
  word: z
    .object({ outcome: z.enum(['done', 'blocked']), summary: z.string() })
    .nullable()
    .default(null),
});

/** A turn as the journal has it. */
export type JournalEntry = z.infer<typeof entrySchema>;

export interface TurnJournal {
  /** What an earlier process left; entries that cannot be read are given as their key and problem. */
  read(): {
    readonly entries: readonly JournalEntry[];
    readonly unreadable: readonly { readonly key: string; readonly problem: string }[];
  };
  /** The change that keeps the turn; commit it together with the report that says so. */
  note(entry: JournalEntry): Note;
  /** Resolves when the entry is on disk. */
  write(entry: JournalEntry): Promise<void>;
  /** The change that takes the turn out; commit it together with the result. */
  removal(instruction: TurnInstruction): Note;
  /** Takes the turn out by itself. */
  remove(instruction: TurnInstruction): Promise<void>;
}

export const createTurnJournal = (outbox: Outbox): TurnJournal => {
  const removal = ({ commandId }: TurnInstruction): Note => ({ key: PREFIX + commandId, value: null });
  const note = (entry: JournalEntry): Note => ({
    key: PREFIX + entry.instruction.commandId,
    value: entry,
  });
  return {
    read: () => {
      const entries: JournalEntry[] = [];
      const unreadable: { key: string; problem: string }[] = [];
      for (const [key, value] of outbox.notes(PREFIX)) {
        const parsed = entrySchema.safeParse(value);
        if (parsed.success) entries.push(parsed.data);
        else unreadable.push({ key, problem: z.prettifyError(parsed.error) });
      }
      return { entries, unreadable };
    },
    write: async (entry) => {
      await outbox.commit({ notes: [note(entry)] });
    },
    note,
    removal,
    remove: async (instruction) => {
      await outbox.commit({ notes: [removal(instruction)] });
    },
  };
};
