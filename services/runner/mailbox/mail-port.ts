// Mail as an agent writes and reads it from inside its turn. The control plane is asked first; is it away, the same request goes into the
// buffer under the same message id, and whichever arrives first counts. A reply closes what is owed here at once, by the id that it
// answers. Every message names the run and turn it was written in.
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import type { AgentAnswer } from '#services/runner/agent-requests.ts';
import type { MailPart } from '#services/runner/control/control-parts.ts';
import type { Obligations } from '#services/runner/obligations/obligations.ts';
import type { AgentMailRequestOf } from '#streams/mail-requests.ts';
import { MAIL_BODY_CHARACTERS } from '#streams/mail.ts';
import type { MailReports } from './mail-reports.ts';
import type { Mailbox } from './mailbox.ts';

type SendMail = AgentMailRequestOf<'send'>;
type ReplyMail = AgentMailRequestOf<'reply'>;
type PostAnswer = Awaited<ReturnType<MailPart['send']>>;

/** What is asked of the mail service; away after 2 s. */
export interface MailAsking {
  send(request: SendMail): Promise<AgentAnswer<{ readonly seq: number }>>;
  reply(request: ReplyMail): Promise<AgentAnswer<{ readonly seq: number }>>;
}

export interface MailPortParts {
  readonly asking: MailAsking;
  readonly mailbox: Mailbox;
  readonly obligations: Pick<Obligations, 'noteOf' | 'replied'>;
  readonly reports: MailReports;
  readonly outbox: Pick<Outbox, 'commit'>;
  readonly redactor: Redactor;
  readonly clock: Clock;
}

const TEXT_GONE = '(read long ago; its text is no longer kept on this machine)';

export const createMailPort = (parts: MailPortParts): MailPart => {
  const { asking, mailbox, obligations, reports, outbox, redactor, clock } = parts;
  // Redaction keeps the shape: strings stay strings, names and ids are as they were. It may have made a text longer.
  const clean = <Request extends SendMail | ReplyMail>(request: Request): Request => {
    const redacted = redactor.value(request).value as Request;
    return { ...redacted, body: redacted.body.slice(0, MAIL_BODY_CHARACTERS) };
  };
  const posted = (messageId: string, state: 'sent' | 'queued'): PostAnswer => ({
    kind: 'ok',
    result: { messageId, state },
  });
  const close = async (
    { messageId: replyId, replyTo }: ReplyMail,
    seq: number | null,
    records: Parameters<typeof outbox.commit>[0]['records'] = [],
  ): Promise<void> => {
    const made = { messageId: replyTo, replyId, seq };
    const { change, stored } = mailbox.answered(replyTo);
    await outbox.commit({ records, notes: [...change.notes, obligations.noteOf(made)] });
    stored();
    obligations.replied(made);
  };
  return {
    send: async ({ runId, turnId }, mail) => {
      const request: SendMail = clean({ ...mail, runId, turnId });
      const answer = await asking.send(request);
      if (answer.kind === 'refused') return answer;
      if (answer.kind === 'ok') return posted(request.messageId, 'sent');
      await outbox.commit({ records: [reports.posted({ op: 'send', request, postedAt: clock.now() })] });
      return posted(request.messageId, 'queued');
    },
    reply: async ({ runId, turnId }, reply) => {
      const request: ReplyMail = clean({ ...reply, priority: 'normal', runId, turnId });
      const answer = await asking.reply(request);
      if (answer.kind === 'refused') return answer;
      if (answer.kind === 'ok') {
        await close(request, answer.result.seq);
        return posted(request.messageId, 'sent');
      }
      await close(request, null, [reports.posted({ op: 'reply', request, postedAt: clock.now() })]);
      return posted(request.messageId, 'queued');
    },
    owedIn: (turnId) =>
      mailbox
        .broughtBy(turnId)
        .filter(
          ({ needsReply, state, expiresAt }) =>
            needsReply && state === 'injected' && (expiresAt === null || expiresAt > clock.now()),
        )
        .map(({ messageId, from, subject, storedAt }) => ({ messageId, from, subject, storedAt })),
    inbox: (limit) =>
      mailbox.newest(limit).map((head) => {
        const { messageId, threadId, from, kind, subject, needsReply, replyTo, sentAt, state } = head;
        const body = mailbox.body(messageId) ?? TEXT_GONE;
        const shown = state === 'gone' ? 'injected' : state;
        return { messageId, threadId, from, kind, subject, needsReply, replyTo, sentAt, body, state: shown };
      }),
  };
};
