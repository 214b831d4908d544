// The turns in hand, kept beside the buffer's records and changed in the same transactions: what a runner finds after its own crash.
// A turn is in the journal from before its run is asked for until its result is in the buffer.
//
// No entry waits for the disk where the system says which start of it this is: a crash of this process loses nothing that was committed,
// and a power cut, which may lose the last commits, ends in another start. An entry of another start is read for the worst: its
// program may have been started though the entry does not say so. An entry that is missing altogether is a claim that nobody renews: the
// end of its lease decides, by the run's replay rule. Where the system does not say, every entry is on disk before anything is done.
import { z } from 'zod';
import type { Certainty, Change, Note, Outbox } from '#libs/outbox/outbox.ts';
import { turnIdSchema } from '#streams/ids.ts';
import { INSTRUCTIONS, type TurnInstruction } from '#streams/instructions.ts';
import { systemBoot } from './system-boot.ts';

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

/** `boot`: the start of the system in which it was written; null: it was on disk when it was. */
const storedSchema = entrySchema.extend({ boot: z.string().nullable().default(null) });

/** A turn as the journal has it. */
export type JournalEntry = z.infer<typeof entrySchema>;

/** A turn that an earlier process left. */
export interface FoundEntry extends JournalEntry {
  /** The power may have failed since: what the entry does not say may have happened. */
  readonly isCutShort: boolean;
}

export interface TurnJournal {
  /** What an earlier process left; entries that cannot be read are given as their key and problem. */
  read(): {
    readonly entries: readonly FoundEntry[];
    readonly unreadable: readonly { readonly key: string; readonly problem: string }[];
  };
  /** The change that keeps the turn; commit it together with the report that says so. */
  note(entry: JournalEntry): Note;
  /** Resolves when no crash of this process can lose the entry. */
  write(entry: JournalEntry): Promise<void>;
  /** The change that takes the turn out; commit it together with the result. */
  removal(instruction: TurnInstruction): Note;
  /** Takes the turn out by itself. */
  remove(instruction: TurnInstruction): Promise<void>;
}

/**
 * `boot`: which start of the system this is; null: nobody can say. An outbox that waits out a full disk (libs/outbox/commit-patiently.ts) spares
 * the process: a turn that has not begun need not cost it.
 */
export const createTurnJournal = (
  outbox: Pick<Outbox, 'notes'> & { readonly commit: (change: Change) => Promise<unknown> },
  boot: string | null = systemBoot(),
): TurnJournal => {
  const certainty: Certainty = boot === null ? 'disk' : 'process';
  const removal = ({ commandId }: TurnInstruction): Note => ({ key: PREFIX + commandId, value: null });
  const note = (entry: JournalEntry): Note => ({
    key: PREFIX + entry.instruction.commandId,
    value: { ...entry, boot },
  });
  return {
    read: () => {
      const entries: FoundEntry[] = [];
      const unreadable: { key: string; problem: string }[] = [];
      for (const [key, value] of outbox.notes(PREFIX)) {
        const parsed = storedSchema.safeParse(value);
        if (parsed.success) {
          const { boot: writtenIn, ...entry } = parsed.data;
          entries.push({ ...entry, isCutShort: writtenIn !== null && writtenIn !== boot });
        } else unreadable.push({ key, problem: z.prettifyError(parsed.error) });
      }
      return { entries, unreadable };
    },
    write: async (entry) => void (await outbox.commit({ notes: [note(entry)], certainty })),
    note,
    removal,
    // Found again after a power cut, it is refused again.
    remove: async (instruction) =>
      void (await outbox.commit({ notes: [removal(instruction)], certainty: 'process' })),
  };
};
