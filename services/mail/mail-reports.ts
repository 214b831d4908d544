// What runners report about mail becomes what happened to the messages. At least once in, once in the log: every id follows from the
// message and the fact. A message that a runner had to post becomes the message that it would have been; if it is refused, its writer is told.
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { MAIL_REPORTS } from '#streams/mail-reports.ts';
import { decodeReport, type Report } from '#streams/report-codec.ts';
import type { Boundary } from '#streams/subjects.ts';
import { derivedMessageId } from './derived-id.ts';
import type { Cause, MessageLog } from './message-log.ts';
import { noticeOfRefusal } from './notice.policy.ts';
import type { PostOffice } from './post-office.ts';

type NamedReport = Extract<Report, { readonly name: keyof typeof MAIL_REPORTS }>;
type Posted = Extract<NamedReport, { readonly name: 'mail-posted' }>['data'];

/** A report about mail, and whose. */
export interface MailReport {
  readonly boundary: Boundary;
  /** Of the subject, which the broker has checked. */
  readonly agent: string;
  readonly id: string;
  /** When it happened, and when the report was stored, epoch ms. */
  readonly timeMs: number;
  readonly storedAt: number;
  readonly report: NamedReport;
}

const isOfMail = (report: Report): report is NamedReport => report.name.startsWith('mail-');

/** The report of an entry; undefined for one of a newer version. Throws `REPORT_UNREADABLE` (never). */
export const decodeMailReport = (entry: StoredEntry): MailReport | undefined => {
  const reading = decodeReport(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'REPORT_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown' || !isOfMail(reading)) return undefined;
  const { place, envelope } = reading;
  return {
    boundary: { tenant: place.tenant, project: place.project },
    agent: place.kind === 'typed' ? place.id : '',
    id: envelope.id,
    timeMs: envelope.timeMs,
    storedAt: entry.storedAt,
    report: reading,
  };
};

interface Parts {
  readonly messageLog: MessageLog;
  readonly postOffice: PostOffice;
}

const causeOf = ({ boundary, agent, id }: MailReport): Cause => ({
  boundary,
  actor: `agent:${agent}`,
  causation: id,
});

const post = async (
  { messageLog, postOffice }: Parts,
  mail: MailReport,
  posted: Posted,
): Promise<Handled> => {
  const { boundary, agent } = mail;
  const { postedAt } = posted;
  const cause = causeOf(mail);
  const sender = { ...cause, from: agent, at: postedAt };
  const answer =
    posted.op === 'send'
      ? await postOffice.send(sender, posted.request)
      : await postOffice.reply(sender, posted.request);
  if (answer.kind === 'ok') return ok;
  const { messageId } = posted.request;
  const about = { messageId, from: agent, postedAt };
  const noticeId = derivedMessageId(boundary, 'refused', `${agent} ${messageId}`);
  const notice = noticeOfRefusal(noticeId, about, answer.rejection);
  await messageLog.send(notice, { boundary, actor: 'service:mail', causation: mail.id });
  return { kind: 'rejected', rejection: answer.rejection };
};

/** Handles reports; see libs/consumers for what becomes of its answers and faults. */
export const handleMailReport =
  (parts: Parts) =>
  async (mail: MailReport): Promise<Handled> => {
    const { agent, report, timeMs, storedAt } = mail;
    if (report.name === 'mail-posted') return post(parts, mail, report.data);
    const { messageId } = report.data;
    // Its agent is part of the id: nobody can use up the id of what happened to the mail of another.
    const options = { cause: causeOf(mail), timeMs, sinceMs: storedAt };
    const id = (fact: string): string => `${messageId}.${fact}.${agent}`;
    const about = { messageId, to: agent };
    if (report.name === 'mail-delivered') {
      const { runnerId, deliveredAt } = report.data;
      const data = { ...about, runnerId, deliveredAt };
      await parts.messageLog.record('delivered', data, { ...options, id: id('delivered') });
    } else if (report.name === 'mail-injected') {
      const { runId, sessionId, turnId, injectedAt } = report.data;
      const data = { ...about, runId, sessionId, turnId, injectedAt };
      await parts.messageLog.record('injected', data, { ...options, id: id(`injected.${turnId}`) });
    } else {
      const { reason, expiredAt } = report.data;
      const data = { ...about, reason, expiredAt };
      await parts.messageLog.record('expired', data, { ...options, id: id('expired') });
    }
    return ok;
  };
