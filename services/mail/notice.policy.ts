// Notices: what the system writes to whoever has to know. Pure; the ids are derived outside, from what a notice is about.
import { SYSTEM_SENDER, type MailData } from '#streams/mail.ts';
import type { RunCreated, RunEvent } from '#streams/run.ts';

type MessageSent = MailData<'sent'>;
type Of<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

/** A transition after which nothing more happens to its run. */
export type RunEnd =
  | Of<'fleetlog.run.completed.v1'>
  | Of<'fleetlog.run.blocked.v1'>
  | Of<'fleetlog.run.failed.v1'>
  | Of<'fleetlog.run.cancelled.v1'>
  | Of<'fleetlog.run.lease-expired.v1'>;

/** The event as the end of its run; undefined: the run goes on. */
export const runEndOf = (event: RunEvent): RunEnd | undefined => {
  if (event.type === 'fleetlog.run.lease-expired.v1') return event.next === 'queued' ? undefined : event;
  if (event.type === 'fleetlog.run.completed.v1' || event.type === 'fleetlog.run.blocked.v1') return event;
  return event.type === 'fleetlog.run.failed.v1' || event.type === 'fleetlog.run.cancelled.v1'
    ? event
    : undefined;
};

/** How a run ended, in words. */
interface Told {
  readonly outcome: string;
  readonly lines: readonly string[];
  readonly isTrouble: boolean;
}

const AGAIN = 'Start it again, give it to another agent, or tell whoever waits for it.';

const blocked = (said: readonly string[]): Told => ({
  outcome: 'is blocked',
  lines: [...said, `It says that it cannot go on. ${AGAIN}`],
  isTrouble: true,
});

const completed = ({ result: { outcome, summary } }: Of<'fleetlog.run.completed.v1'>): Told => {
  const said = summary === '' ? [] : [`Its last words: ${summary}`];
  if (outcome === 'yielded')
    return {
      outcome: 'paused',
      lines: [
        ...said,
        'The work is not done: it goes on when somebody tells it to, or when what it waits for comes.',
      ],
      isTrouble: false,
    };
  if (outcome === 'blocked') return blocked(said);
  return { outcome: 'completed', lines: said, isTrouble: false };
};

const failed = ({ failure, result }: Of<'fleetlog.run.failed.v1'>): Told => ({
  outcome: 'failed',
  lines: [
    `Why: ${failure.kind}: ${failure.message}`,
    ...(result === null || result.summary === '' ? [] : [`Its last words: ${result.summary}`]),
    AGAIN,
  ],
  isTrouble: true,
});

const told = (end: RunEnd): Told => {
  if (end.type === 'fleetlog.run.completed.v1') return completed(end);
  if (end.type === 'fleetlog.run.blocked.v1') return blocked([`Why: ${end.reason}`]);
  if (end.type === 'fleetlog.run.failed.v1') return failed(end);
  if (end.type === 'fleetlog.run.cancelled.v1')
    return { outcome: 'was cancelled', lines: [`Why: ${end.reason}`], isTrouble: false };
  if (end.next === 'cancelled')
    return { outcome: 'was cancelled', lines: ['Its runner was lost meanwhile.'], isTrouble: false };
  return {
    outcome: 'failed',
    lines: [
      `Why: its runner ${end.runnerId} was not heard of any more${end.reason === undefined ? '' : ` (${end.reason})`}.`,
      AGAIN,
    ],
    isTrouble: true,
  };
};

const endedAtOf = (end: RunEnd): number =>
  end.type === 'fleetlog.run.lease-expired.v1' ? end.expiredAt : end.endedAt;

/** The one notice to the parent of a run that has ended; undefined: it has no parent. */
export const noticeOfRunEnd = (
  messageId: string,
  { agent, parent, title, runId }: Pick<RunCreated, 'agent' | 'parent' | 'title' | 'runId'>,
  end: RunEnd,
): MessageSent | undefined => {
  if (parent === undefined) return undefined;
  const { outcome, lines, isTrouble } = told(end);
  const named = title === null ? `run ${runId}` : `run ${runId} (${title})`;
  return {
    messageId,
    threadId: messageId,
    from: agent,
    to: parent,
    kind: 'notice',
    subject: `Run ${outcome}: ${title ?? runId}`.slice(0, 200),
    body: [`The ${named} of ${agent} ${outcome}.`, ...lines, `More: fleetlog run show ${runId}`].join('\n\n'),
    needsReply: false,
    replyTo: null,
    priority: isTrouble ? 'high' : 'normal',
    sessionId: null,
    runId,
    turnId: 'turnId' in end ? end.turnId : null,
    expiresAt: null,
    sentAt: endedAtOf(end),
  };
};

/** The notice to the writer of a message that could not be sent when it came out of the buffer. */
export const noticeOfRefusal = (
  messageId: string,
  posted: { readonly messageId: string; readonly from: string; readonly postedAt: number },
  why: { readonly code: string; readonly message: string },
): MessageSent => ({
  messageId,
  threadId: posted.messageId,
  from: SYSTEM_SENDER,
  to: posted.from,
  kind: 'notice',
  subject: 'Your message was not sent',
  body: `Your message ${posted.messageId} was written while mail was away, and was refused afterwards (${why.code}): ${why.message}. Nobody has read it; write it again if it still matters.`,
  needsReply: false,
  replyTo: posted.messageId,
  priority: 'normal',
  sessionId: null,
  runId: null,
  turnId: null,
  expiresAt: null,
  sentAt: posted.postedAt,
});
