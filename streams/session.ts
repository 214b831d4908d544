// The session aggregate on the wire: its commands, its events and their schemas. One conversation of an agent: whose it is, what it is
// called, the program's own id for it, when it expires, and where what it wrote is kept. The rules are in
// services/sessions/session.decider.ts. What its runs do is not in here: the summary (bucket `sessions`) folds both.
import { z } from 'zod';
import { nameSchema, runIdSchema, sessionIdSchema } from './ids.ts';
import { providerSchema, type ProviderName } from './run.ts';

const epochMs = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected SHA-256 in hex');

/** ST-44: a title has this many characters at most; longer ones are cut. */
const SESSION_TITLE_CHARACTERS = 200;
/** Where a session's files are when nobody has said (ST-46). */
export const DEFAULT_SUBFOLDER = 'sessions';

/** A folder below the storage: relative, and never above it. */
const subfolderSchema = z
  .string()
  .max(500)
  .regex(
    /^(?!\.{0,2}(?:\/|$))(?!.*\/\.{0,2}(?:\/|$))[^\0\\]+$/,
    'expected a relative folder without . and ..',
  );

/** Where what a session wrote is kept, as far as its keeper says. `kind`: `folder`, `volume`, … */
export const sessionStorageSchema = z.object({
  kind: nameSchema.refine(
    (kind) => kind !== 'none' && kind !== 'evicted',
    'none and evicted are no kinds of storage',
  ),
  /** The keeper's own name for it: what an eviction names. */
  name: z.string().min(1).max(500),
  bytes: z.int().nonnegative().nullable(),
  files: z.int().nonnegative().nullable(),
  sha256: sha256.nullable(),
});
export type SessionStorage = z.infer<typeof sessionStorageSchema>;

/** What can be said about a session besides whose it is. What is left out stays as it is; null clears it. */
export const sessionDetailsSchema = z.object({
  title: z
    .string()
    .transform((text) => text.trim().slice(0, SESSION_TITLE_CHARACTERS))
    .pipe(z.string().min(1, 'a title must say something'))
    .nullable()
    .optional(),
  /** For people and tools; replaces what was there as a whole. */
  metadata: z.record(nameSchema, z.string().max(500)).optional(),
  /** The conversation elsewhere (a chat, a thread) that it belongs to. */
  conversationId: z.string().min(1).max(200).nullable().optional(),
  /** The program's own id, which it is asked to go on with. */
  providerSessionId: z.string().min(1).max(500).nullable().optional(),
  /** When what it wrote may be collected, epoch ms; null: never. */
  expiresAt: epochMs.nullable().optional(),
  subfolder: subfolderSchema.optional(),
});
type SessionDetails = z.infer<typeof sessionDetailsSchema>;

/** Every event says whose session it is: the last one alone answers that. */
const about = {
  sessionId: sessionIdSchema,
  tenant: nameSchema,
  project: nameSchema,
  agent: nameSchema,
  provider: providerSchema,
};

const details = {
  title: z.string().max(SESSION_TITLE_CHARACTERS).nullable().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  conversationId: z.string().nullable().optional(),
  providerSessionId: z.string().nullable().optional(),
  expiresAt: epochMs.nullable().optional(),
  subfolder: z.string().optional(),
};

const openedSchema = z.object({
  type: z.literal('fleetlog.session.opened.v1'),
  ...about,
  /** The run that it began with; null: somebody made it before any. */
  runId: runIdSchema.nullable(),
  ...details,
  openedAt: epochMs,
});

const updatedSchema = z.object({
  type: z.literal('fleetlog.session.updated.v1'),
  ...about,
  /** What has changed, and nothing else. */
  ...details,
  /** The claim whose program told its id; absent when a person or tool changed something. */
  boundBy: z.object({ runId: runIdSchema, fence: z.int().positive() }).optional(),
  updatedAt: epochMs,
});

const storedSchema = z.object({
  type: z.literal('fleetlog.session.stored.v1'),
  ...about,
  storage: sessionStorageSchema,
  subfolder: z.string(),
  storedAt: epochMs,
});

/** An eviction is wanted. Where this stands in the stream settles it: against the runs that were created before and have not ended. */
const evictionAskedSchema = z.object({
  type: z.literal('fleetlog.session.eviction-asked.v1'),
  ...about,
  kind: z.string(),
  name: z.string(),
  reason: z.string().max(500),
  evictionId: z.string(),
  askedAt: epochMs,
});

const evictionRefusedSchema = z.object({
  type: z.literal('fleetlog.session.eviction-refused.v1'),
  ...about,
  name: z.string(),
  evictionId: z.string(),
  /** That were under way when it was asked for. */
  runs: z.array(runIdSchema),
  refusedAt: epochMs,
});

const evictedSchema = z.object({
  type: z.literal('fleetlog.session.evicted.v1'),
  ...about,
  /** The storage that is gone, or to be removed by its keeper. */
  kind: z.string(),
  name: z.string(),
  reason: z.string().max(500),
  evictedAt: epochMs,
});

/** Every event that was ever appended to a session's subject. Unknown keys are dropped at reading: changes are additive. */
export const sessionEventSchema = z.discriminatedUnion('type', [
  openedSchema,
  updatedSchema,
  storedSchema,
  evictionAskedSchema,
  evictionRefusedSchema,
  evictedSchema,
]);
export type SessionEvent = z.infer<typeof sessionEventSchema>;
export type SessionOpened = z.infer<typeof openedSchema>;

/** Which session a command means, and whose it takes it to be: checked before anything else. Absent: whoever asks does not say. */
export interface AskedSession {
  readonly sessionId: string;
  readonly tenant: string;
  readonly project: string;
  readonly agent?: string | undefined;
  readonly provider?: ProviderName | undefined;
}

/** The same for a command that may begin a session. */
export type OpenedSession = { readonly [Key in keyof AskedSession]-?: NonNullable<AskedSession[Key]> };

/** What can be asked of a session. Each command names whose session it means. */
export type SessionCommand =
  /** A run begins or goes on in it. */
  | { readonly kind: 'open'; readonly asked: OpenedSession; readonly runId: string }
  /** Somebody makes it, or says something about it. */
  | { readonly kind: 'upsert'; readonly asked: OpenedSession; readonly details: SessionDetails }
  /** A program said which conversation it is in. */
  | {
      readonly kind: 'bind';
      readonly asked: AskedSession;
      readonly providerSessionId: string;
      readonly boundBy: { readonly runId: string; readonly fence: number };
    }
  /** The keeper of its storage says what is there. */
  | {
      readonly kind: 'store';
      readonly asked: AskedSession;
      readonly storage: SessionStorage;
      readonly subfolder?: string | undefined;
    }
  | {
      readonly kind: 'evict';
      readonly asked: AskedSession;
      /** The storage meant: another one that has taken its place stays. */
      readonly name: string;
      readonly reason: string;
      readonly evictionId: string;
      /** Runs of it have not ended, as far as the asker can see: it spares asking, and settles nothing. */
      readonly isActive: boolean;
      /** Only when its time is over. */
      readonly onlyExpired: boolean;
    }
  /** What the summary says of an eviction that was asked for. */
  | {
      readonly kind: 'settle';
      readonly asked: AskedSession;
      readonly evictionId: string;
      /** Under way where it was asked for. */
      readonly runs: readonly string[];
    };
