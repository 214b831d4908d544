// Requests that the mail service answers (requests.ts has what all services share). The control plane asks at
// fleet-api.<tenant>.<project>.mail.<operation> and says who writes; a runner asks at ….mail.<operation>.<agent>, and its agent is the
// writer: nobody can write in the name of another. Whoever gets no answer asks again with the same words.
import { z } from 'zod';
import {
  batchIdSchema,
  makeId,
  messageIdSchema,
  nameSchema,
  runIdSchema,
  sessionIdSchema,
  spawnIdSchema,
  turnIdSchema,
} from './ids.ts';
import { replyMailSchema, sendMailSchema } from './mail.ts';
import { actorSchema, answering, type RequestOf, type ResultOf } from './requests.ts';
import { PROMPT_LIMIT_CHARACTERS } from './commands.ts';
import { providerSchema, RUN_STATES } from './run.ts';

/** Where the message stands in MESSAGES: pass it to a read to see at least this. `repeated`: it was there already. */
const stored = { messageId: messageIdSchema, seq: z.int().positive(), repeated: z.boolean() };

const nudgeSchema = z.object({
  messageId: messageIdSchema,
  to: nameSchema,
  body: z.string().min(1).max(2000),
});

const SENT = answering(z.object(stored));
const REPLIED = answering(
  z.object({
    ...stored,
    /** Whom the reply went to. */
    to: nameSchema,
    /** Whether it was the first reply, which closes the obligation. */
    closed: z.boolean(),
  }),
);
const NUDGED = answering(
  z.object({
    /** `skipped`: the same writer nudged this recipient a moment ago, and that nudge stands. */
    state: z.enum(['sent', 'skipped']),
    /** Of the nudge that stands. */
    messageId: messageIdSchema,
    seq: z.int().positive(),
  }),
);

const SEND_MEANS =
  'Send a message. Refused when nobody has the recipient’s name. The same message id again answers with the first one.';
const REPLY_MEANS =
  'Answer a message that was sent to the writer. The first reply closes what is owed, in one atomic append with it.';
const NUDGE_MEANS = 'Tell an agent in a few words to go on. Several within a moment are one.';

/** Asked by the control plane, for the person or agent `from`. */
const writer = { from: nameSchema, actor: actorSchema };

/** What the control plane asks. */
export const MAIL_REQUESTS = {
  send: { means: SEND_MEANS, request: sendMailSchema.extend(writer), answer: SENT },
  reply: { means: REPLY_MEANS, request: replyMailSchema.extend(writer), answer: REPLIED },
  nudge: { means: NUDGE_MEANS, request: nudgeSchema.extend(writer), answer: NUDGED },
} as const;

/** What a runner asks in the name of its agent. */
export const AGENT_MAIL_REQUESTS = {
  send: { means: SEND_MEANS, request: sendMailSchema, answer: SENT },
  reply: { means: REPLY_MEANS, request: replyMailSchema, answer: REPLIED },
  nudge: { means: NUDGE_MEANS, request: nudgeSchema, answer: NUDGED },
  'begin-turn': {
    means:
      'Begin the one run that puts a batch of messages before the asking agent. Asked again it answers with that run as it is now.',
    request: z.object({
      batchId: batchIdSchema,
      messageIds: z.array(messageIdSchema).min(1).max(200),
      /** The messages as the runner puts them to the agent. */
      prompt: z.string().min(1).max(PROMPT_LIMIT_CHARACTERS),
      provider: providerSchema,
      /** The conversation to go on with; absent: one of its own. */
      sessionId: sessionIdSchema.optional(),
      /** Where the conversation works; absent: in a folder of its own. */
      workspace: nameSchema.optional(),
      turnTimeoutMs: z.int().min(1000).max(86_400_000).optional(),
    }),
    answer: answering(
      z.object({
        runId: runIdSchema,
        sessionId: sessionIdSchema,
        /** Of the run’s first transition in TRANSITIONS. */
        seq: z.int().positive(),
        state: z.enum(RUN_STATES),
        /** The turn that put the messages before the agent; null: none has started. */
        turnId: turnIdSchema.nullable(),
      }),
    ),
  },
} as const;

/** What the lifecycle service asks when an agent runs for a policy, or when mail comes for one that runs. */
export const FORWARD_REQUESTS = {
  forward: {
    means:
      'Send the mail of a policy on to the agent that runs for it, as far as no earlier agent of the policy has it. May be asked again.',
    request: z.object({
      policy: nameSchema,
      agent: nameSchema,
      host: nameSchema,
      spawnId: spawnIdSchema,
      /** Mail up to this sequence of MESSAGES is settled. */
      sinceSeq: z.int().nonnegative(),
      actor: actorSchema,
    }),
    answer: answering(z.object({ forwarded: z.int().nonnegative() })),
  },
} as const;
export type ForwardRequest = RequestOf<typeof FORWARD_REQUESTS, 'forward'>;

export type MailOperation = keyof typeof MAIL_REQUESTS;
export type MailRequestOf<Op extends MailOperation> = RequestOf<typeof MAIL_REQUESTS, Op>;
export type AgentMailOperation = keyof typeof AGENT_MAIL_REQUESTS;
export type AgentMailRequestOf<Op extends AgentMailOperation> = RequestOf<typeof AGENT_MAIL_REQUESTS, Op>;
export type AgentMailResultOf<Op extends AgentMailOperation> = ResultOf<typeof AGENT_MAIL_REQUESTS, Op>;

const ulidOf = (batchId: string): string => batchId.slice(batchId.indexOf('_') + 1);

/** The run of a batch: the same for everybody who derives it. */
export const mailRunId = (batchId: string): string => makeId('run', ulidOf(batchId));
/** The session of a batch that names none. */
export const mailSessionId = (batchId: string): string => makeId('session', ulidOf(batchId));
