// What runners report about mail (stream EVENTS). The mail service turns each into an entry of MESSAGES for the reporting agent, which
// is that of the subject: a runner can say nothing about the mail of another.
import { z } from 'zod';
import { messageIdSchema, runIdSchema, sessionIdSchema, turnIdSchema } from './ids.ts';
import { replyMailSchema, sendMailSchema } from './mail.ts';

const epochMs = z.int().nonnegative();

const mailDelivered = z.object({
  messageId: messageIdSchema,
  runnerId: z.string().min(1).max(128),
  deliveredAt: epochMs,
});
const mailInjected = z.object({
  messageId: messageIdSchema,
  runId: runIdSchema,
  sessionId: sessionIdSchema,
  turnId: turnIdSchema,
  injectedAt: epochMs,
});
const mailExpired = z.object({
  messageId: messageIdSchema,
  reason: z.string().max(500),
  expiredAt: epochMs,
});
const posted = { postedAt: epochMs };
const mailPosted = z.discriminatedUnion('op', [
  z.object({ op: z.literal('send'), request: sendMailSchema, ...posted }),
  z.object({ op: z.literal('reply'), request: replyMailSchema, ...posted }),
]);

/** Subject type token → event type and schema; part of REPORTS. */
export const MAIL_REPORTS = {
  'mail-delivered': {
    type: 'fleetlog.mail.delivered.v1',
    schema: mailDelivered,
    means: 'A message for the agent is on the runner’s disk.',
  },
  'mail-injected': {
    type: 'fleetlog.mail.injected.v1',
    schema: mailInjected,
    means: 'A message was in the prompt of the turn that was started.',
  },
  'mail-expired': {
    type: 'fleetlog.mail.expired.v1',
    schema: mailExpired,
    means: 'A message was too old to be put before the agent.',
  },
  'mail-posted': {
    type: 'fleetlog.mail.posted.v1',
    schema: mailPosted,
    means:
      'The agent wrote while the mail service was away: the request as it would have been asked. It becomes a message under the same id, or a notice of its refusal.',
  },
} as const;
