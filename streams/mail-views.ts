// What the folds of MESSAGES look like (buckets `messages` and `obligations`): readable JSON, stamped with the sequence it reflects.
import { z } from 'zod';
import { MAIL } from './mail.ts';
import type { Boundary } from './subjects.ts';

const epochMs = z.int().nonnegative();
const seq = z.int().positive();

/** What became of a message; the last two absorb. */
export const MESSAGE_STATES = [
  'stored',
  'forwarded',
  'delivered',
  'injected',
  'answered',
  'expired',
] as const;
const { body: _body, sentAt: _sentAt, ...written } = MAIL.sent.schema.shape;

/** Bucket `messages`, one key per message: everything but its body, and what became of it. */
export const messageViewSchema = z.object({
  seq,
  tenant: z.string(),
  project: z.string(),
  ...written,
  /** Beginning of the body, for a list. */
  gist: z.string().max(200),
  /** Where the whole message stands in MESSAGES. */
  sentSeq: seq,
  state: z.enum(MESSAGE_STATES),
  sentAt: epochMs,
  deliveredAt: epochMs.nullable(),
  injectedAt: epochMs.nullable(),
  /** The turn that the message was put into. */
  injectedRunId: z.string().nullable(),
  injectedTurnId: z.string().nullable(),
  answeredAt: epochMs.nullable(),
  /** The first reply. */
  replyId: z.string().nullable(),
  expiredAt: epochMs.nullable(),
  expiredReason: z.string().nullable(),
  /** Of mail to a policy: the message that its agent was sent last; what became of it is told there. */
  forwardedAs: z
    .object({ copyId: z.string(), agent: z.string(), spawnId: z.string(), at: epochMs })
    .nullable()
    .default(null),
});
export type MessageView = z.infer<typeof messageViewSchema>;

const obligationSchema = z.object({
  messageId: z.string(),
  from: z.string(),
  subject: z.string().nullable(),
  priority: z.enum(['normal', 'high']),
  sentAt: epochMs,
  /** Sequence of the message in MESSAGES: the order of the list. */
  sentSeq: seq,
  /** When it was in the prompt of a turn; null: not yet. */
  injectedAt: epochMs.nullable(),
});

/** So many are kept in both lists together; the newest beyond are only counted. */
export const LISTED_OBLIGATIONS = 400;

/** Bucket `obligations`, one key per agent or person: the replies it owes. */
export const obligationsSchema = z.object({
  seq,
  tenant: z.string(),
  project: z.string(),
  agent: z.string(),
  /** Delivered and not answered, oldest first. */
  owed: z.array(obligationSchema.extend({ deliveredAt: epochMs })).max(LISTED_OBLIGATIONS),
  /** Sent and not yet at the recipient’s runner, oldest first: will be owed. */
  coming: z.array(obligationSchema).max(LISTED_OBLIGATIONS),
  /** Came while the lists were full: never listed, and possibly answered since. */
  unlisted: z.int().nonnegative(),
});
export type ObligationsView = z.infer<typeof obligationsSchema>;

/** Key of what an agent or person owes. */
export const obligationsKey = (boundary: Boundary, agent: string): string =>
  `${boundary.tenant}.${boundary.project}.${agent}`;

/** The stream that holds the bucket `obligations`, and the subject of one key of it: how a runner is told. */
export const OBLIGATIONS_STREAM = 'KV_obligations';
export const obligationsSubject = (boundary: Boundary, agent: string): string =>
  `$KV.obligations.${obligationsKey(boundary, agent)}`;
