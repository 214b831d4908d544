// The batch in hand and the conversation that mail goes to, kept beside the buffer's records: after a crash the same run is asked for
// in the same words. A batch is in the journal from before its run is asked for until its turn has started, or cannot start any more.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import { batchIdSchema, messageIdSchema, sessionIdSchema } from '#streams/ids.ts';
import { providerSchema } from '#streams/run.ts';

const BATCH_KEY = 'mail-batch';
const SESSION_KEY = 'mail-session';

const batchSchema = z.object({
  batchId: batchIdSchema,
  messageIds: z.array(messageIdSchema).min(1),
  prompt: z.string().min(1),
  provider: providerSchema,
  sessionId: sessionIdSchema.nullable(),
  workspace: z.string().nullable(),
  turnTimeoutMs: z.int().positive(),
  /** Batches in a row before this one whose turn never started. */
  failures: z.int().nonnegative(),
});
export type JournaledBatch = z.infer<typeof batchSchema>;

export interface MailJournal {
  /** The batch in hand, as it is on disk; one that cannot be read counts as none: its messages are unread. */
  batch(): JournaledBatch | undefined;
  /** Resolves when it is on disk. */
  write(batch: JournaledBatch): Promise<void>;
  remove(): Promise<void>;
  /** The change that takes the batch out: commit it together with the start of its turn, and then say that it is stored. */
  removal(): { readonly note: Note; readonly stored: () => void };
  /** The conversation that mail goes to when it asks for none; undefined: none so far. */
  session(): string | undefined;
  /** Undefined: begin a new one. */
  keepSession(sessionId: string | undefined): Promise<void>;
}

export const createMailJournal = (outbox: Pick<Outbox, 'commit' | 'note'>): MailJournal => {
  let batch: JournaledBatch | undefined = batchSchema.safeParse(outbox.note(BATCH_KEY)).data;
  let session: string | undefined = sessionIdSchema.safeParse(outbox.note(SESSION_KEY)).data;
  const put = async (key: string, value: unknown): Promise<void> => {
    await outbox.commit({ notes: [{ key, value }] });
  };
  return {
    batch: () => batch,
    write: async (given) => {
      await put(BATCH_KEY, given);
      batch = given;
    },
    remove: async () => {
      await put(BATCH_KEY, null);
      batch = undefined;
    },
    removal: () => ({
      note: { key: BATCH_KEY, value: null },
      stored: () => {
        batch = undefined;
      },
    }),
    session: () => session,
    keepSession: async (sessionId) => {
      await put(SESSION_KEY, sessionId ?? null);
      session = sessionId;
    },
  };
};
