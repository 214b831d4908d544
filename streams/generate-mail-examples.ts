// One example of every event, report, request and bucket value of mail, for the generated pages and the recorder of golden entries.
// Typed by the contract. Not used at run time.
import { EXAMPLE, EXAMPLE_AT } from './generate-examples.ts';
import type { MAIL_REPORTS } from './mail-reports.ts';
import {
  mailRunId,
  mailSessionId,
  type AgentMailOperation,
  type AgentMailRequestOf,
  type AgentMailResultOf,
  type MailOperation,
  type MailRequestOf,
} from './mail-requests.ts';
import type { MessageView, ObligationsView } from './mail-views.ts';
import type { MailData, MailName } from './mail.ts';
import type { z } from 'zod';

const { boundary, agent, runnerId, runId, turnId } = EXAMPLE;
const AT = EXAMPLE_AT;
const SECOND = 1000;
const messageId = 'msg_01KAJ5P2R0W1X2Y3Z4A5B6C7D8';
const replyId = 'msg_01KAJ5QJT0E9F8G7H6J5K4M3N2';
const batchId = 'bat_01KAJ5P7B0Q1R2S3T4V5W6X7Y8';

const asked = {
  messageId,
  to: agent,
  subject: 'Which cart?',
  body: 'Does the rounding of the old cart change as well? Please say before you go on.',
  needsReply: true,
  priority: 'normal',
} as const;
const answer = {
  messageId: replyId,
  replyTo: messageId,
  body: 'Only the new one; the old cart keeps rounding per line.',
  needsReply: false,
  priority: 'normal',
} as const;
const injected = { runId: mailRunId(batchId), sessionId: mailSessionId(batchId), turnId };

/** What can happen to a message. */
export const MAIL_EXAMPLES: { readonly [Name in MailName]: MailData<Name> } = {
  sent: {
    ...asked,
    threadId: messageId,
    from: 'user',
    kind: 'mail',
    replyTo: null,
    sessionId: null,
    runId: null,
    turnId: null,
    expiresAt: null,
    sentAt: AT,
  },
  delivered: { messageId, to: agent, runnerId, deliveredAt: AT + SECOND },
  injected: { messageId, to: agent, ...injected, injectedAt: AT + 3 * SECOND },
  forwarded: {
    messageId,
    to: 'policy:builders',
    agent,
    copyId: replyId,
    spawnId: 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J8',
    host: 'forge-7',
    forwardedAt: AT + SECOND,
  },
  answered: { messageId, to: agent, replyId, answeredAt: AT + 9 * SECOND },
  expired: { messageId, to: agent, reason: 'its time was over before a turn began', expiredAt: AT + SECOND },
};

/** What a runner reports about mail. */
export const MAIL_REPORT_EXAMPLES: {
  readonly [Name in keyof typeof MAIL_REPORTS]: z.infer<(typeof MAIL_REPORTS)[Name]['schema']>;
} = {
  'mail-delivered': { messageId, runnerId, deliveredAt: AT + SECOND },
  'mail-injected': { messageId, ...injected, injectedAt: AT + 3 * SECOND },
  'mail-expired': { messageId, reason: 'its time was over before a turn began', expiredAt: AT + SECOND },
  'mail-posted': { op: 'reply', request: { ...answer, runId, turnId }, postedAt: AT + 9 * SECOND },
};

const writer = { from: 'user', actor: 'user:anna' } as const;
const nudge = { messageId, to: agent, body: 'Are you still at it?' };
const sent = { messageId, seq: 7, repeated: false };
const replied = { messageId: replyId, seq: 11, repeated: false, to: 'user', closed: true };
const nudged = { state: 'sent', messageId, seq: 7 } as const;

/** What the control plane asks. */
export const MAIL_REQUEST_EXAMPLES: {
  readonly [Op in MailOperation]: {
    readonly request: MailRequestOf<Op>;
    readonly result: AgentMailResultOf<Op>;
  };
} = {
  send: { request: { ...asked, ...writer }, result: sent },
  reply: { request: { ...answer, ...writer }, result: replied },
  nudge: { request: { ...nudge, ...writer }, result: nudged },
};

/** What a runner asks. */
export const AGENT_MAIL_REQUEST_EXAMPLES: {
  readonly [Op in AgentMailOperation]: {
    readonly request: AgentMailRequestOf<Op>;
    readonly result: AgentMailResultOf<Op>;
  };
} = {
  send: { request: { ...asked, to: 'reviewer-1', runId, turnId }, result: sent },
  reply: { request: { ...answer, runId, turnId }, result: replied },
  nudge: { request: { ...nudge, to: 'reviewer-1' }, result: nudged },
  'begin-turn': {
    request: { batchId, messageIds: [messageId], prompt: 'One message for you. …', provider: 'claude' },
    result: {
      runId: mailRunId(batchId),
      sessionId: mailSessionId(batchId),
      seq: 31,
      state: 'queued',
      turnId: null,
    },
  },
};

const { to: _to, body: _body, ...listed } = MAIL_EXAMPLES.sent;

/** Values of the buckets. */
export const MAIL_BUCKET_EXAMPLES: { readonly messages: MessageView; readonly obligations: ObligationsView } =
  {
    messages: {
      forwardedAs: null,
      seq: 9,
      ...boundary,
      ...listed,
      to: agent,
      gist: asked.body,
      sentSeq: 7,
      state: 'injected',
      deliveredAt: AT + SECOND,
      injectedAt: AT + 3 * SECOND,
      injectedRunId: injected.runId,
      injectedTurnId: turnId,
      answeredAt: null,
      replyId: null,
      expiredAt: null,
      expiredReason: null,
    },
    obligations: {
      seq: 9,
      ...boundary,
      agent,
      owed: [
        {
          messageId,
          from: 'user',
          subject: asked.subject,
          priority: 'normal',
          sentAt: AT,
          sentSeq: 7,
          deliveredAt: AT + SECOND,
          injectedAt: AT + 3 * SECOND,
        },
      ],
      coming: [],
      unlisted: 0,
    },
  };
