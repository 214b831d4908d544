// Which waiting messages go into the next prompt. Pure. Urgent ones first, then in the order in which they came; one conversation at a
// time; bounded by count and by bytes. What is over its time is named, so that it can be reported and leave.

/** A message that was in no prompt so far. */
export interface WaitingMail {
  readonly messageId: string;
  readonly priority: 'normal' | 'high';
  /** Of its text and subject, UTF-8. */
  readonly bytes: number;
  /** The conversation it asks to join; null: the agent's own for mail. */
  readonly sessionId: string | null;
  /** Epoch ms; null: never. */
  readonly expiresAt: number | null;
}

/** A batch holds at least one message, however large it is. */
export interface MailBatchLimits {
  readonly messages: number;
  readonly bytes: number;
}

export interface MailBatch {
  /** Over their time. */
  readonly expired: readonly string[];
  /** For the next prompt, in the order given; empty: nothing waits. */
  readonly chosen: readonly string[];
  readonly sessionId: string | null;
}

const isExpired = ({ expiresAt }: WaitingMail, now: number): boolean =>
  expiresAt !== null && expiresAt <= now;

/** `waiting` in the order of arrival. The chosen keep that order: who reads them reads what happened in its order. */
export const chooseBatch = (
  waiting: readonly WaitingMail[],
  limits: MailBatchLimits,
  now: number,
): MailBatch => {
  const expired = waiting.filter((mail) => isExpired(mail, now)).map(({ messageId }) => messageId);
  const live = waiting.filter((mail) => !isExpired(mail, now));
  const urgentFirst = [
    ...live.filter(({ priority }) => priority === 'high'),
    ...live.filter(({ priority }) => priority === 'normal'),
  ];
  const sessionId = urgentFirst[0]?.sessionId ?? null;
  const chosen = new Set<string>();
  let bytes = 0;
  for (const mail of urgentFirst) {
    if (mail.sessionId !== sessionId) continue;
    // Not past one that does not fit: a small message would overtake a large one for ever.
    if (chosen.size === limits.messages || (chosen.size > 0 && bytes + mail.bytes > limits.bytes)) break;
    chosen.add(mail.messageId);
    bytes += mail.bytes;
  }
  return {
    expired,
    chosen: live.map(({ messageId }) => messageId).filter((id) => chosen.has(id)),
    sessionId,
  };
};
