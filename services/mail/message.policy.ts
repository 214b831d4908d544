// What a message says, and whether it may be sent: the rules of mail. Pure.
// Guarantees: a reply goes to whoever wrote what it answers, and only the recipient may answer; a message is answered once.
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { AgentMailRequestOf } from '#streams/mail-requests.ts';
import { SYSTEM_SENDER, type MailData } from '#streams/mail.ts';
import type { RejectionCode } from '#streams/rejections.ts';

export type MessageSent = MailData<'sent'>;
type SendRequest = AgentMailRequestOf<'send'>;
type ReplyRequest = AgentMailRequestOf<'reply'>;
type NudgeRequest = AgentMailRequestOf<'nudge'>;

/** Who can be written to. */
export interface KnownNames {
  readonly agents: readonly string[];
  readonly people: readonly string[];
}

/** Who writes, and when, epoch ms. */
export interface Writer {
  readonly from: string;
  readonly now: number;
}

/** What an answer has to know of the message that it answers. */
export interface Original {
  readonly messageId: string;
  readonly threadId: string;
  readonly from: string;
  readonly to: string;
  readonly subject: string | null;
  /** The first reply; null: none yet. */
  readonly replyId: string | null;
}

type MailRejection = Rejection<
  Extract<RejectionCode, 'RECIPIENT_UNKNOWN' | 'SENDER_UNKNOWN' | 'MESSAGE_FOREIGN'>
>;

const SUBJECT_CHARACTERS = 200;

/** What is the same in every message that somebody wrote. */
const writtenBy = ({ from, now }: Writer, request: Omit<SendRequest, 'to' | 'subject' | 'sessionId'>) => ({
  messageId: request.messageId,
  from,
  body: request.body,
  needsReply: request.needsReply,
  priority: request.priority,
  runId: request.runId ?? null,
  turnId: request.turnId ?? null,
  expiresAt: request.expiresAt ?? null,
  sentAt: now,
});

/** A message that begins an exchange. */
export const messageOf = (request: SendRequest, writer: Writer): MessageSent => ({
  ...writtenBy(writer, request),
  threadId: request.messageId,
  to: request.to,
  kind: writer.from === SYSTEM_SENDER ? 'notice' : 'mail',
  subject: request.subject,
  replyTo: null,
  sessionId: request.sessionId ?? null,
});

/** A short word to go on. */
export const nudgeOf = ({ messageId, to, body }: NudgeRequest, writer: Writer): MessageSent => ({
  ...writtenBy(writer, { messageId, body, needsReply: false, priority: 'normal' }),
  threadId: messageId,
  to,
  kind: 'nudge',
  subject: null,
  replyTo: null,
  sessionId: null,
});

const answerSubject = (subject: string | null): string | null => {
  if (subject === null) return null;
  return (/^re: /i.test(subject) ? subject : `Re: ${subject}`).slice(0, SUBJECT_CHARACTERS);
};

const replyMessage = (request: ReplyRequest, original: Original, writer: Writer): MessageSent => ({
  ...writtenBy(writer, request),
  threadId: original.threadId,
  to: original.from,
  kind: 'mail',
  subject: request.subject ?? answerSubject(original.subject),
  replyTo: original.messageId,
  sessionId: null,
});

/** `near` are known names that may have been meant, nearest first. */
export const refuseRecipient = (
  to: string,
  known: { readonly agents: readonly string[]; readonly people?: readonly string[] },
  near: readonly string[],
): MailRejection | undefined => {
  const { agents, people = [] } = known;
  if (agents.includes(to) || people.includes(to)) return undefined;
  const meant = near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
  const who = people.length === 0 ? 'agent' : 'agent or person';
  return rejection('RECIPIENT_UNKNOWN', `no ${who} is called ${to}${meant}`, { to, near });
};

/** A message from nobody could never be answered, and what is owed for it never be closed. */
export const refuseSender = (from: string, { agents, people }: KnownNames): MailRejection | undefined => {
  if (agents.includes(from) || people.includes(from)) return undefined;
  return rejection('SENDER_UNKNOWN', `no agent or person is called ${from}: nobody could answer`, { from });
};

/** What becomes of a reply. `answered` is appended together with it; null: the message had its answer before. */
type ReplyDecision =
  | { readonly kind: 'refused'; readonly rejection: MailRejection }
  | {
      readonly kind: 'reply';
      readonly sent: MessageSent;
      readonly answered: MailData<'answered'> | null;
    };

/** Decides over a reply to a message that is known. */
export const decideReply = (request: ReplyRequest, original: Original, writer: Writer): ReplyDecision => {
  const { messageId, to, from, replyId } = original;
  if (to !== writer.from) {
    const text = `message ${messageId} was not sent to ${writer.from}; only its recipient answers it`;
    return { kind: 'refused', rejection: rejection('MESSAGE_FOREIGN', text, { replyTo: messageId }) };
  }
  if (from === SYSTEM_SENDER) {
    const text = `message ${messageId} is a notice of the system, which reads no mail`;
    return { kind: 'refused', rejection: rejection('RECIPIENT_UNKNOWN', text, { to: from, near: [] }) };
  }
  const isFirst = replyId === null || replyId === request.messageId;
  return {
    kind: 'reply',
    sent: replyMessage(request, original, writer),
    answered: isFirst ? { messageId, to, replyId: request.messageId, answeredAt: writer.now } : null,
  };
};

/** Whether two are one message: all but when it was written, which differs between a request and its repeat. */
export const isSameMessage = (one: MessageSent, other: MessageSent): boolean =>
  (Object.keys(one) as (keyof MessageSent)[]).every((key) => key === 'sentAt' || one[key] === other[key]);
