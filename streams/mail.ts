// Mail between agents and people (stream MESSAGES): what was written, and what became of it. One subject space per recipient:
// fleet.<tenant>.<project>.msg.<p>.<recipient>.<type>. Appended by the mail service only; runners report, and ask.
import { z } from 'zod';
import {
  messageIdSchema,
  nameSchema,
  runIdSchema,
  sessionIdSchema,
  spawnIdSchema,
  turnIdSchema,
} from './ids.ts';
import { policyMailbox } from './subjects.ts';

/** A body may have this many characters at most. */
export const MAIL_BODY_CHARACTERS = 65_536;
const SUBJECT_CHARACTERS = 200;

const epochMs = z.int().nonnegative();

/** `mail`: somebody wrote; `nudge`: a short word to go on; `notice`: the system says how something ended. */
export const MAIL_KINDS = ['mail', 'nudge', 'notice'] as const;
const mailKindSchema = z.enum(MAIL_KINDS);
const prioritySchema = z.enum(['normal', 'high']);
const subjectSchema = z.string().min(1).max(SUBJECT_CHARACTERS);
const bodySchema = z.string().min(1).max(MAIL_BODY_CHARACTERS);

/** Begins the name of the mailbox of a policy, as people write it: `policy:builder`. */
const POLICY_PREFIX = 'policy:';

/** An agent, a person, or whoever runs for a policy. */
const recipientSchema = z
  .string()
  .regex(
    /^(?:policy:)?[a-z0-9][a-z0-9_-]{0,63}$/,
    'expected a name (1 to 64 of a-z 0-9 _ - and a letter or digit first), or policy: and one',
  );

/** The policy of a recipient; undefined: it is an agent or a person. */
export const policyOfRecipient = (recipient: string): string | undefined =>
  recipient.startsWith(POLICY_PREFIX) ? recipient.slice(POLICY_PREFIX.length) : undefined;

/** The subject token of a recipient. */
export const mailboxOf = (recipient: string): string => {
  const policy = policyOfRecipient(recipient);
  return policy === undefined ? recipient : policyMailbox(policy);
};

/** What the writer of a message decides, in a request and in the report of one that could not be asked. */
const written = {
  /** Made by the sender and kept through every repeat: one id is one message. */
  messageId: messageIdSchema,
  body: bodySchema,
  /** The recipient owes a reply from the moment that its runner has the message. */
  needsReply: z.boolean(),
  priority: prioritySchema,
  /** After this time it is not put before an agent any more, epoch ms. */
  expiresAt: epochMs.optional(),
  /** The run and turn in which it was written. */
  runId: runIdSchema.optional(),
  turnId: turnIdSchema.optional(),
};

/** A message as a runner asks for it to be sent; the sender stands in the subject. */
export const sendMailSchema = z.object({
  ...written,
  to: recipientSchema,
  subject: subjectSchema.nullable(),
  /** The conversation of the recipient that it belongs to. */
  sessionId: sessionIdSchema.optional(),
});

/** A reply; whom it goes to follows from what it answers. */
export const replyMailSchema = z.object({
  ...written,
  replyTo: messageIdSchema,
  /** Absent: that of the answered message. */
  subject: subjectSchema.optional(),
});

const sent = z.object({
  messageId: messageIdSchema,
  /** Id of the first message of the exchange; its own where it begins one. */
  threadId: messageIdSchema,
  from: nameSchema,
  to: recipientSchema,
  kind: mailKindSchema,
  subject: subjectSchema.nullable(),
  body: bodySchema,
  needsReply: z.boolean(),
  replyTo: messageIdSchema.nullable(),
  priority: prioritySchema,
  sessionId: sessionIdSchema.nullable(),
  /** The run and turn in which it was written, or that a notice is about. */
  runId: runIdSchema.nullable(),
  turnId: turnIdSchema.nullable(),
  expiresAt: epochMs.nullable(),
  sentAt: epochMs,
});

/** `to` is the recipient of the message that it is about, and so the id of the subject. */
const about = { messageId: messageIdSchema, to: recipientSchema };

const delivered = z.object({ ...about, runnerId: z.string().min(1).max(128), deliveredAt: epochMs });
const injected = z.object({
  ...about,
  runId: runIdSchema,
  sessionId: sessionIdSchema,
  turnId: turnIdSchema,
  injectedAt: epochMs,
});
const answered = z.object({ ...about, replyId: messageIdSchema, answeredAt: epochMs });
/** Of mail to a policy: `to` is `policy:<name>`. */
const forwarded = z.object({
  ...about,
  /** Who runs for the policy, and the message that it was sent. */
  agent: nameSchema,
  copyId: messageIdSchema,
  spawnId: spawnIdSchema,
  host: nameSchema,
  forwardedAt: epochMs,
});
const expired = z.object({ ...about, reason: z.string().max(500), expiredAt: epochMs });

/** Subject type token → event type and schema. */
export const MAIL = {
  sent: {
    type: 'fleetlog.message.sent.v1',
    schema: sent,
    means: 'Somebody wrote to an agent or a person; holds the whole message.',
  },
  delivered: {
    type: 'fleetlog.message.delivered.v1',
    schema: delivered,
    means: 'The recipient’s runner has the message on its disk.',
  },
  injected: {
    type: 'fleetlog.message.injected.v1',
    schema: injected,
    means: 'The message was in the prompt of a turn.',
  },
  forwarded: {
    type: 'fleetlog.message.forwarded.v1',
    schema: forwarded,
    means:
      'Mail to a policy was sent on to the agent that runs for it, as `copyId`; again when it died before it had it.',
  },
  answered: {
    type: 'fleetlog.message.answered.v1',
    schema: answered,
    means: 'The first reply to the message was sent; stored together with that reply.',
  },
  expired: {
    type: 'fleetlog.message.expired.v1',
    schema: expired,
    means: 'The message was too old to be put before its recipient.',
  },
} as const;

export type MailName = keyof typeof MAIL;
export type MailData<Name extends MailName> = z.infer<(typeof MAIL)[Name]['schema']>;

/** Who writes notices that are not about an agent’s run. No agent or person has this name. */
export const SYSTEM_SENDER = 'fleetlog';
