// A message as a runner keeps it: its head and its text apart, so that looking at a thousand heads loads no text. What cannot be read
// back is named and left where it is.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';

const HEAD_PREFIX = 'mail:';
const BODY_PREFIX = 'mail-body:';

const epochMs = z.int().nonnegative();

const headSchema = z.object({
  messageId: z.string().min(1),
  threadId: z.string().min(1),
  from: z.string().min(1),
  kind: z.enum(['mail', 'nudge', 'notice']),
  subject: z.string().nullable(),
  needsReply: z.boolean(),
  replyTo: z.string().nullable(),
  priority: z.enum(['normal', 'high']),
  sessionId: z.string().nullable(),
  expiresAt: epochMs.nullable(),
  sentAt: epochMs,
  /** Order of arrival: from 1, of this runner. */
  order: z.int().positive(),
  /** Of text and subject, UTF-8. */
  bytes: z.int().nonnegative(),
  storedAt: epochMs,
  /**
   * `unread`: in no prompt of a turn that started. `injected`: it was, in the turn named. `answered`: the agent replied to it. `gone`: it
   * was over its time before that.
   */
  state: z.enum(['unread', 'injected', 'answered', 'gone']),
  turnId: z.string().nullable(),
});

/** Everything of a message but its text. */
export type MailHead = z.infer<typeof headSchema>;

/** A message as it came. */
export interface IncomingMail extends Pick<
  MailHead,
  | 'messageId'
  | 'threadId'
  | 'from'
  | 'kind'
  | 'subject'
  | 'needsReply'
  | 'replyTo'
  | 'priority'
  | 'sessionId'
  | 'expiresAt'
  | 'sentAt'
> {
  readonly body: string;
}

export const headNote = (head: MailHead): Note => ({ key: HEAD_PREFIX + head.messageId, value: head });
export const bodyNote = (messageId: string, body: string): Note => ({
  key: BODY_PREFIX + messageId,
  value: body,
});
/** Forgets the text; the head stays, so that the message is known when it comes again. */
export const bodyRemoval = (messageId: string): Note => ({ key: BODY_PREFIX + messageId, value: null });
export const headRemoval = (messageId: string): Note => ({ key: HEAD_PREFIX + messageId, value: null });

/** The text of a message; undefined: it is no longer kept. */
export const readBody = (outbox: Pick<Outbox, 'note'>, messageId: string): string | undefined => {
  const body = outbox.note(BODY_PREFIX + messageId);
  return typeof body === 'string' ? body : undefined;
};

/** Every head, in the order of arrival. */
export const readHeads = (
  outbox: Pick<Outbox, 'notes'>,
): { readonly heads: readonly MailHead[]; readonly unreadable: readonly string[] } => {
  const heads: MailHead[] = [];
  const unreadable: string[] = [];
  for (const [key, value] of outbox.notes(HEAD_PREFIX)) {
    const { data } = headSchema.safeParse(value);
    if (data === undefined) unreadable.push(key);
    else heads.push(data);
  }
  return { heads: heads.toSorted((a, b) => a.order - b.order), unreadable };
};
