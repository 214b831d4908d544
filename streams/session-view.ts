// The value of the bucket `sessions`: the summary of a session, folded from its own transitions and those of its runs. Readable JSON,
// stamped with the sequence that it reflects. And the value of `cursors`: what a reader has seen.
import { z } from 'zod';
import { providerSchema } from './run.ts';
import type { Boundary } from './subjects.ts';

const epochMs = z.int().nonnegative();
const seq = z.int().positive();

/** Where what it wrote is kept; `evicted`: nowhere any more. */
const shownStorageSchema = z.object({
  kind: z.string(),
  name: z.string(),
  bytes: z.int().nonnegative().nullable(),
  files: z.int().nonnegative().nullable(),
  sha256: z.string().nullable(),
  updatedAt: epochMs,
  evictedAt: epochMs.nullable(),
  /** An eviction that was asked for and is not settled: it is carried out when no run was under way then. */
  eviction: z
    .object({ id: z.string(), askedAt: epochMs, runs: z.array(z.string()) })
    .nullable()
    .default(null),
});

/** Bucket `sessions`, folded from the run and session transitions of TRANSITIONS. */
export const sessionViewSchema = z.object({
  seq,
  tenant: z.string(),
  project: z.string(),
  sessionId: z.string(),
  agent: z.string(),
  provider: providerSchema,
  title: z.string().nullable(),
  /** Somebody gave it the title: prompts do not change it. */
  isTitled: z.boolean().default(false),
  /** Runs that have not ended: one that ends leaves the others. */
  activeRuns: z.array(z.string()),
  runs: z.int().nonnegative(),
  lastRunId: z.string().nullable(),
  lastOutcome: z.enum(['completed', 'blocked', 'failed', 'cancelled']).nullable(),
  /** Why the last run failed. */
  lastFailureKind: z.string().nullable().default(null),
  /**
   * Sequence of the last transition that a reader should know of: work asked for or ended, the session itself changed. A reader whose
   * cursor is below it has something unread. Claims and the like move `seq` alone.
   */
  version: z.int().nonnegative().default(0),
  metadata: z.record(z.string(), z.string()).default({}),
  conversationId: z.string().nullable().default(null),
  /** The program's own id of the conversation. */
  providerSessionId: z.string().nullable().default(null),
  expiresAt: epochMs.nullable().default(null),
  /** Null: nobody has said where anything is kept. */
  storage: shownStorageSchema.nullable().default(null),
  subfolder: z.string().nullable().default(null),
  createdAt: epochMs,
  /** Exact for what moves `version`; of a run that only goes on at most 5 s old. */
  lastActivityAt: epochMs,
  /** Of `version`. */
  updatedAt: epochMs.default(0),
});
export type SessionView = z.infer<typeof sessionViewSchema>;

/** Bucket `cursors`: up to which version a reader has seen something. Moves only forward. */
export const cursorSchema = z.object({
  /** The version seen, a sequence of TRANSITIONS. */
  seq,
  reader: z.string(),
  kind: z.enum(['session', 'task']),
  id: z.string(),
  readAt: epochMs,
});
export type ReadCursor = z.infer<typeof cursorSchema>;

/** Key of what a reader has seen of one thing. */
export const cursorKey = (
  boundary: Boundary,
  { kind, reader, id }: Pick<ReadCursor, 'kind' | 'reader' | 'id'>,
): string => `${boundary.tenant}.${boundary.project}.${kind}.${reader}.${id}`;
