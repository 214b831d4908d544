// The HTTP API about runs: what is asked, what is answered.
import { z } from 'zod';
import { approvalRuleSchema } from '#streams/approvals.ts';
import { activityViewSchema, runViewSchema } from '#streams/buckets.ts';
import { nameSchema, runIdSchema, sessionIdSchema } from '#streams/ids.ts';
import { PROMPT_LIMIT_CHARACTERS } from '#streams/commands.ts';
import { RUN_REQUESTS } from '#streams/run-requests.ts';
import { providerSchema, replayRuleSchema, RUN_STATES, runRequestSchema } from '#streams/run.ts';
import {
  boundaryShape,
  cursorQuery,
  eventLimit,
  linksAnswer,
  listLimit,
  nextAnswer,
  oneOrMore,
  oneQuery,
  seqAnswer,
  seqQuery,
  type ApiTable,
} from './route.ts';

const create = RUN_REQUESTS.create.request.shape;

const createRunSchema = z.strictObject({
  ...boundaryShape,
  agent: nameSchema.optional(),
  provider: providerSchema.optional(),
  prompt: z
    .string()
    .refine((prompt) => prompt.trim() !== '', 'a prompt must not be empty')
    .max(
      PROMPT_LIMIT_CHARACTERS,
      `a prompt has ${PROMPT_LIMIT_CHARACTERS} characters at most; put more into a file of the workspace`,
    ),
  program: runRequestSchema.shape.program,
  workspace: runRequestSchema.shape.workspace,
  session: sessionIdSchema.optional(),
  title: z.string().min(1).max(120).optional(),
  /** Who gets one notice when the run has ended. */
  parent: nameSchema.optional(),
  replay: replayRuleSchema.optional(),
  maxAttempts: create.maxAttempts.optional(),
  leaseMs: create.leaseMs.optional(),
  turnTimeoutMs: runRequestSchema.shape.turnTimeoutMs.optional(),
  completion: runRequestSchema.shape.completion,
  resumeMismatch: runRequestSchema.shape.resumeMismatch,
  checkout: runRequestSchema.shape.checkout,
  /** `new`: the program begins another conversation in the session. */
  conversation: runRequestSchema.shape.conversation,
  /** Who must allow what its program asks about, besides what the runner's settings say. */
  approvals: approvalRuleSchema.strict().optional(),
});
export type CreateRunInput = z.infer<typeof createRunSchema>;

export const cancelSchema = z.strictObject({
  ...boundaryShape,
  reason: z.string().min(1).max(500).default('cancel requested'),
});

const links = linksAnswer('self', 'events', 'stream', 'cancel', 'session');
const place = { runId: runIdSchema, seq: seqAnswer };

/** What was decided or reported, as a feed shows it. */
export const feedItemAnswer = z
  .looseObject({
    /** What comes after it is asked for with `after`. */
    cursor: z.string(),
    stream: z.enum(['TRANSITIONS', 'EVENTS']),
    seq: seqAnswer,
    subject: z.string(),
  })
  .meta({ id: 'FeedItem' });

/** Streams whose retention has passed the cursor: what is before `firstSeq` cannot be shown any more. */
export const goneAnswer = z.array(z.object({ stream: z.enum(['TRANSITIONS', 'EVENTS']), firstSeq: z.int() }));

const run = runViewSchema.meta({ id: 'Run' });

export const RUN_API = {
  createRun: {
    method: 'POST',
    path: '/api/v1/runs',
    means: 'Ask for a piece of work.',
    body: createRunSchema,
    status: 202,
    answer: z.object({ ...place, sessionId: sessionIdSchema, repeated: z.boolean(), links }),
  },
  cancelRun: {
    method: 'POST',
    path: '/api/v1/runs/:id/cancel',
    means: 'Cancel a run. An ended run is left as it is.',
    body: cancelSchema,
    status: 202,
    answer: z.object({ ...place, state: z.string(), links }),
  },
  listRuns: {
    method: 'GET',
    path: '/api/v1/runs',
    means: 'List runs, newest first.',
    query: z.strictObject({
      ...boundaryShape,
      state: oneOrMore(RUN_STATES).optional(),
      agent: nameSchema.optional(),
      session: sessionIdSchema.optional(),
      afterSeq: seqQuery.optional(),
      cursor: cursorQuery.optional(),
      limit: listLimit,
    }),
    status: 200,
    answer: z.object({ runs: z.array(run), next: nextAnswer }),
  },
  getRun: {
    method: 'GET',
    path: '/api/v1/runs/:id',
    means:
      'The summary of a run; with `afterSeq` at least as of that sequence, which a write has answered with.',
    query: oneQuery,
    status: 200,
    answer: runViewSchema
      .extend({ activity: activityViewSchema.meta({ id: 'Activity' }).nullable(), links })
      .meta({ id: 'ShownRun' }),
  },
  listRunEvents: {
    method: 'GET',
    path: '/api/v1/runs/:id/events',
    means: 'The record of a run in pages: transitions and reports in one order. Follow `next`.',
    query: z.strictObject({ ...boundaryShape, after: z.string().max(64).optional(), limit: eventLimit }),
    status: 200,
    answer: z.object({
      events: z.array(feedItemAnswer),
      next: z.string(),
      hasMore: z.boolean(),
      gone: goneAnswer,
    }),
  },
} as const satisfies ApiTable;
