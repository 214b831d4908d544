// The HTTP API about sessions: lists by attention, changes, the record and the output of a conversation, and what is said about one.
import { z } from 'zod';
import { nameSchema, runIdSchema, sessionIdSchema } from '#streams/ids.ts';
import { providerSchema } from '#streams/run.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import { sessionDetailsSchema, sessionStorageSchema } from '#streams/session.ts';
import {
  boundaryShape,
  cursorQuery,
  eventLimit,
  linksAnswer,
  listLimit,
  nextAnswer,
  oneQuery,
  seqAnswer,
  seqQuery,
  type ApiTable,
} from './route.ts';
import { feedItemAnswer, goneAnswer } from './runs.ts';

/** ST-33: `default` is what wants attention: active or unread. */
export const SESSION_LISTS = ['default', 'all', 'running', 'unread', 'terminal', 'idle'] as const;

/** What a thing is to a reader; without one everything that is not active is unread. */
export const attentionShape = {
  active: z.boolean(),
  unread: z.boolean(),
  attentionState: z.enum(['active', 'unread', 'read']),
  readerId: z.string().nullable(),
  /** Null: the reader has seen nothing of it. */
  readCursor: z.object({ version: seqAnswer, readAt: z.int() }).nullable(),
};

const session = sessionViewSchema
  .extend({
    executionState: z.enum(['idle', 'running', 'terminal']),
    /** `tenant/project/session`. */
    sessionPath: z.string(),
    ...attentionShape,
  })
  .meta({ id: 'Session' });
const links = linksAnswer('self', 'trace', 'output', 'runs', 'read');

const reader = nameSchema.optional();
const filters = {
  ...boundaryShape,
  agent: nameSchema.optional(),
  provider: providerSchema.optional(),
  reader,
  afterSeq: seqQuery.optional(),
  limit: listLimit,
};
const pageQuery = z.strictObject({
  ...boundaryShape,
  /** Absent: the active run, else the last one. */
  run: runIdSchema.optional(),
  after: z.string().max(64).optional(),
  limit: eventLimit,
});
const page = z.object({
  sessionId: sessionIdSchema,
  runId: z.string().nullable(),
  events: z.array(feedItemAnswer),
  /** Everything up to here was looked at, wanted or not: come again with it as `after`. Null: there is no run. */
  next: z.string().nullable(),
  hasMore: z.boolean(),
  gone: goneAnswer,
});

/** What somebody says about a session. */
const changed = z.object({ sessionId: sessionIdSchema, seq: seqAnswer, repeated: z.boolean(), links });

/** A mark of what a reader has seen. */
export const markReadSchema = z.strictObject({
  ...boundaryShape,
  /** Absent: whoever's token it is. */
  reader,
  /** The `version` that the reader saw: what changed since stays unread. */
  version: z.int().positive(),
});
export const markReadAnswer = z.object({
  reader: nameSchema,
  version: seqAnswer,
  readAt: z.int(),
  /** False: the reader had seen this or more before. */
  moved: z.boolean(),
});

export const SESSION_API = {
  listSessions: {
    method: 'GET',
    path: '/api/v1/sessions',
    means:
      'List sessions by attention: active ones first, then those that are unread for `reader`, then the rest; within each the latest activity first. Follow `next`; what changes meanwhile may move: a mirror follows the changes.',
    query: z.strictObject({
      ...filters,
      state: z.enum(SESSION_LISTS).default('default'),
      cursor: cursorQuery.optional(),
    }),
    status: 200,
    answer: z.object({
      sessions: z.array(session),
      count: z.int().nonnegative(),
      next: nextAnswer,
      /** As they were understood. */
      filters: z.object({
        state: z.enum(SESSION_LISTS),
        agent: z.string().nullable(),
        provider: z.string().nullable(),
        readerId: z.string().nullable(),
        limit: z.int().positive(),
      }),
    }),
  },
  listSessionChanges: {
    method: 'GET',
    path: '/api/v1/sessions/changes',
    means:
      'Sessions that have changed after a sequence, in the order of their last change. Come again with `after` of the answer; a page may have few or none and say that there is more.',
    query: z.strictObject({ ...filters, after: seqQuery.default(0) }),
    status: 200,
    answer: z.object({ sessions: z.array(session), after: z.int().nonnegative(), hasMore: z.boolean() }),
  },
  getSession: {
    method: 'GET',
    path: '/api/v1/sessions/:id',
    means: 'The summary of a session; with `afterSeq` at least as of that sequence.',
    query: oneQuery.extend({ reader }),
    status: 200,
    answer: sessionViewSchema.extend({ ...session.shape, links }).meta({ id: 'ShownSession' }),
  },
  getSessionTrace: {
    method: 'GET',
    path: '/api/v1/sessions/:id/trace',
    means:
      'The record of a run of a session in pages, by default of the active one, else the last. Follow `next`.',
    query: pageQuery,
    status: 200,
    answer: page,
  },
  getSessionOutput: {
    method: 'GET',
    path: '/api/v1/sessions/:id/output',
    means:
      'What a run of a session put out, in pages: texts, output of tools and programs, changed files, mistakes and the end. `next` advances over everything else.',
    query: pageQuery,
    status: 200,
    answer: page,
  },
  upsertSession: {
    method: 'POST',
    path: '/api/v1/sessions',
    means:
      'Make a session, or say something about one: title, metadata, conversation, expiry. What is left out stays as it is, null clears it.',
    body: z.strictObject({
      ...boundaryShape,
      session: sessionIdSchema.optional(),
      agent: nameSchema.optional(),
      provider: providerSchema.optional(),
      ...sessionDetailsSchema.shape,
    }),
    status: 202,
    answer: changed,
  },
  storeSession: {
    method: 'POST',
    path: '/api/v1/sessions/:id/storage',
    means: 'Say where what a session wrote is kept, and how much it is. For the keeper of the storage.',
    body: z.strictObject({
      ...boundaryShape,
      kind: sessionStorageSchema.shape.kind,
      name: sessionStorageSchema.shape.name,
      bytes: sessionStorageSchema.shape.bytes.optional(),
      files: sessionStorageSchema.shape.files.optional(),
      sha256: sessionStorageSchema.shape.sha256.optional(),
      subfolder: sessionDetailsSchema.shape.subfolder,
    }),
    status: 202,
    answer: changed,
  },
  evictSession: {
    method: 'POST',
    path: '/api/v1/sessions/:id/evict',
    means:
      'Give up the storage of a session, named as it is now. Refused while a run of it has not ended. Its keeper removes it.',
    body: z.strictObject({
      ...boundaryShape,
      name: z.string().min(1).max(500),
      reason: z.string().min(1).max(500).default('evict requested'),
    }),
    status: 202,
    answer: changed,
  },
  collectSessions: {
    method: 'POST',
    path: '/api/v1/sessions/collect',
    means:
      'Give up the storage of sessions whose time is over now, instead of at the next round; `trial` only says which.',
    body: z.strictObject({ ...boundaryShape, trial: z.boolean().default(false) }),
    status: 202,
    answer: z.object({
      evicted: z.array(z.object({ sessionId: sessionIdSchema, name: z.string(), expiresAt: z.int() })),
      hasMore: z.boolean(),
      trial: z.boolean(),
    }),
  },
  readSession: {
    method: 'POST',
    path: '/api/v1/sessions/:id/read',
    means:
      'Note that a reader has seen a session up to a version. Moves only forward: what changed after that version stays unread.',
    body: markReadSchema,
    status: 202,
    answer: markReadAnswer,
    isReading: true,
  },
} as const satisfies ApiTable;
