// What a runner reports about mail, as records of its buffer: under ids that follow from what they say, so that a repeat is the same
// report. All in one lane, in the order in which it happened. Never shed.
import { ESSENTIAL, type NewRecord } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { MAIL_REPORTS } from '#streams/mail-reports.ts';
import type { ReportData } from '#streams/reports.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The turn that brought messages, and the right under which it did; null: it was another runner's. */
export interface MailTurn {
  readonly runId: string;
  readonly sessionId: string;
  readonly turnId: string;
  readonly fence: number | null;
}

type MailReportName = keyof typeof MAIL_REPORTS;
type Posted = ReportData<'mail-posted'>;

export interface MailReports {
  delivered(messageId: string, at: number): NewRecord;
  injected(messageId: string, turn: MailTurn, at: number): NewRecord;
  expired(messageId: string, reason: string, at: number): NewRecord;
  /** A message that could not be asked for: the control plane sends it when it reads this. */
  posted(posted: Posted): NewRecord;
}

export interface MailReportParts {
  readonly boundary: Boundary;
  readonly agent: string;
  readonly runnerId: string;
  readonly clock: Clock;
}

const LANE = 'mail';

export const createMailReports = ({ boundary, agent, runnerId, clock }: MailReportParts): MailReports => {
  const record = <Name extends MailReportName>(
    name: Name,
    data: ReportData<Name>,
    about: { readonly id: string; readonly correlation: string; readonly fence?: number | null },
  ): NewRecord => {
    const { id, correlation, fence } = about;
    const occurredAt = clock.now();
    const entry = encodeReport(name, data, {
      boundary,
      agent,
      id,
      source: `/runner/${agent}`,
      timeMs: occurredAt,
      actor: `agent:${agent}`,
      correlation,
      ...(fence !== null && fence !== undefined && { fence }),
    });
    return { ...entry, lane: LANE, kind: name, worth: ESSENTIAL, occurredAt };
  };
  return {
    delivered: (messageId, deliveredAt) =>
      record(
        'mail-delivered',
        { messageId, runnerId, deliveredAt },
        { id: `${messageId}.delivered`, correlation: messageId },
      ),
    injected: (messageId, { runId, sessionId, turnId, fence }, injectedAt) =>
      record(
        'mail-injected',
        { messageId, runId, sessionId, turnId, injectedAt },
        { id: `${messageId}.injected.${turnId}`, correlation: runId, fence },
      ),
    expired: (messageId, reason, expiredAt) =>
      record(
        'mail-expired',
        { messageId, reason, expiredAt },
        { id: `${messageId}.expired`, correlation: messageId },
      ),
    posted: (posted) => {
      const { messageId } = posted.request;
      return record('mail-posted', posted, { id: `${messageId}.posted`, correlation: messageId });
    },
  };
};
