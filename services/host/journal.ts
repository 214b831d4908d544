// The spawns of a host, kept beside the records of its buffer and changed in the same transactions: what it finds after its own crash.
// A spawn is in the journal from before its process is started, and stays, as a word that it is over, longer than any instruction lives.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import { HOST_ENDS } from '#streams/host-reports.ts';
import { nameSchema, spawnIdSchema } from '#streams/ids.ts';

const PREFIX = 'spawn:';

/** What a spawn is called, and where its runner was told to find the broker. */
const spawnSchema = z.object({
  spawnId: spawnIdSchema,
  policy: nameSchema,
  agent: nameSchema,
  commandId: z.string(),
  brokerUrl: z.string(),
});

const processSchema = z.object({
  pid: z.int().positive(),
  /** When the process began, in the platform's own words. */
  started: z.string(),
  startedAt: z.int().nonnegative(),
});

const entrySchema = z.discriminatedUnion('state', [
  /** About to be started: the process may be there. */
  z.object({ state: z.literal('intended'), ...spawnSchema.shape }),
  z.object({
    state: z.literal('running'),
    ...spawnSchema.shape,
    process: processSchema,
    /** When it is killed; null: it was not asked to stop. */
    killAt: z.int().nonnegative().nullable(),
    /** Somebody asked the host to end it. */
    wasAsked: z.boolean(),
    /** It ends it for a reason of its own. */
    endedFor: z.enum(HOST_ENDS).optional(),
  }),
  z.object({ state: z.literal('over'), spawnId: spawnIdSchema, overAt: z.int().nonnegative() }),
]);
export type JournalEntry = z.infer<typeof entrySchema>;
export type RunningEntry = Extract<JournalEntry, { readonly state: 'running' }>;
export type IntendedEntry = Extract<JournalEntry, { readonly state: 'intended' }>;

/** The change that keeps an entry; commit it together with the report that says so. */
export const noteOf = (entry: JournalEntry): Note => ({ key: PREFIX + entry.spawnId, value: entry });

/** The change that forgets one. */
const forgetting = (spawnId: string): Note => ({ key: PREFIX + spawnId, value: null });

/** Longer than instructions are kept (streams/streams.ts): one that is over is never started again. */
const KEPT_MS = 8 * 24 * 3_600_000;

export interface JournalReading {
  readonly entries: readonly JournalEntry[];
  readonly unreadable: readonly string[];
  /** What nobody can ask for any more. */
  readonly outdated: readonly Note[];
}

export const readJournal = (outbox: Outbox, now: number): JournalReading => {
  const entries: JournalEntry[] = [];
  const unreadable: string[] = [];
  const outdated: Note[] = [];
  for (const [key, value] of outbox.notes(PREFIX)) {
    const parsed = entrySchema.safeParse(value);
    if (!parsed.success) unreadable.push(key);
    else if (parsed.data.state === 'over' && now - parsed.data.overAt > KEPT_MS)
      outdated.push(forgetting(parsed.data.spawnId));
    else entries.push(parsed.data);
  }
  return { entries, unreadable, outdated };
};
