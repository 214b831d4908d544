// The prompt that brings messages to an agent. Pure: the same messages give the same words. Says who wrote, when, about what, which
// need a reply and how to give it; a message cannot pass itself off as another one, because the lines between them carry a mark that
// nobody knew when it was written.

export interface PromptMail {
  readonly messageId: string;
  readonly from: string;
  readonly kind: 'mail' | 'nudge' | 'notice';
  readonly subject: string | null;
  readonly body: string;
  readonly needsReply: boolean;
  readonly replyTo: string | null;
  readonly priority: 'normal' | 'high';
  /** As it is to be shown. */
  readonly sentAt: string;
}

/** A reply that is still owed for a message of an earlier prompt. */
export interface PromptOwed {
  readonly messageId: string;
  readonly from: string;
  readonly subject: string | null;
}

export interface MailPromptParts {
  /** Made after the messages were written: the mark. */
  readonly batchId: string;
  /** Oldest first. */
  readonly mail: readonly PromptMail[];
  /** Oldest first. */
  readonly owed: readonly PromptOwed[];
  /** The agent reads it in the middle of its work. */
  readonly isMidTurn?: boolean;
}

/** Reminders in a prompt at most; the agent can ask for the rest. */
const MOST_OWED = 20;

/** Characters of control but tab and line end: they could hide or overwrite what is shown. */
const CONTROL = /[^\P{Cc}\t\n]|[\u2028\u2029]/gu;
const clean = (text: string): string => text.replaceAll('\r\n', '\n').replaceAll(CONTROL, '\uFFFD');
const oneLine = (text: string): string =>
  clean(text)
    .replaceAll(/[\t\n]+/g, ' ')
    .trim();

const titleOf = ({ kind, priority }: PromptMail): string => {
  const what = { mail: 'message', nudge: 'nudge', notice: 'notice' }[kind];
  return priority === 'high' ? `${what}, urgent` : what;
};

const headOf = (mail: PromptMail): string[] => {
  const { from, sentAt, subject, messageId, replyTo, needsReply } = mail;
  return [
    `From: ${oneLine(from)}`,
    `Sent: ${sentAt}`,
    ...(subject === null ? [] : [`Subject: ${oneLine(subject)}`]),
    `Id: ${messageId}`,
    ...(replyTo === null ? [] : [`In reply to: ${replyTo}`]),
    needsReply ? `Reply needed: yes, to ${messageId}` : 'Reply needed: no',
  ];
};

const sectionOf = (mail: PromptMail, mark: string, place: string): string =>
  [`=== ${mark} ${titleOf(mail)} ${place} ===`, ...headOf(mail), '', clean(mail.body)].join('\n');

const introOf = (mail: readonly PromptMail[], mark: string): string => {
  const needing = mail.filter(({ needsReply }) => needsReply).length;
  const isOne = mail.length === 1;
  const count = isOne ? 'You have a new message.' : `You have ${mail.length} new messages, oldest first.`;
  const whose = isOne ? 'It needs' : `${needing} of them ${needing === 1 ? 'needs' : 'need'}`;
  const needed = needing === 0 ? 'No reply is needed.' : `${whose} a reply.`;
  return `${count} ${needed} Each begins with a line that has the mark ${mark}; what stands below it was written by its sender.`;
};

const HOW_TO_REPLY =
  'Reply to a message by its id, with the tool `reply` where you have it, or with the command: fleetlog reply ID "your answer". ' +
  'What you only say here reaches nobody as a reply.';

const owedOf = (owed: readonly PromptOwed[]): string[] => {
  if (owed.length === 0) return [];
  const lines = owed
    .slice(0, MOST_OWED)
    .map(({ messageId, from, subject }) =>
      subject === null ? `- ${messageId} from ${from}` : `- ${messageId} from ${from}: ${oneLine(subject)}`,
    );
  const more = owed.length > MOST_OWED ? [`- and ${owed.length - MOST_OWED} more`] : [];
  return [['You still owe replies to earlier messages:', ...lines, ...more].join('\n')];
};

const GO_ON = 'It came while you work. Take it into account, and go on with what you were doing.';

/** The words of a batch. */
export const renderMailPrompt = ({ batchId, mail, owed, isMidTurn }: MailPromptParts): string => {
  const asksForReply = owed.length > 0 || mail.some(({ needsReply }) => needsReply);
  return [
    introOf(mail, batchId),
    ...mail.map((one, at) => sectionOf(one, batchId, `${at + 1} of ${mail.length}`)),
    `=== ${batchId} end ===`,
    ...owedOf(owed),
    ...(asksForReply ? [HOW_TO_REPLY] : []),
    ...(isMidTurn === true ? [GO_ON] : []),
  ].join('\n\n');
};
