// What is known of the agent's obligations, kept beside the buffer's records so that the next process begins with it. What cannot
// be read back counts as never written.
import { z } from 'zod';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import type { OwedValue, OwnReply } from './obligation-snapshot.policy.ts';

const VALUE_KEY = 'obligations';
const REPLY_PREFIX = 'own-reply:';

const epochMs = z.int().nonnegative();

const owedSchema = z.object({
  messageId: z.string().min(1),
  from: z.string(),
  subject: z.string().nullable(),
  sentAt: epochMs,
  deliveredAt: epochMs,
  injectedAt: epochMs.nullable(),
});

const heardSchema = z.object({
  value: z.object({
    seq: z.int().nonnegative(),
    revision: z.int().nonnegative(),
    owed: z.array(owedSchema),
  }),
  refreshedAt: epochMs,
});

const replySchema = z.object({
  messageId: z.string().min(1),
  replyId: z.string().min(1),
  seq: z.int().positive().nullable(),
  repliedAt: epochMs,
  settledAt: epochMs.nullable(),
  wasListed: z.boolean(),
});

/** The last value and when it was heard. */
export interface Heard {
  readonly value: OwedValue;
  readonly refreshedAt: number;
}

/** What the last process left. */
export interface KeptObligations {
  readonly heard: Heard | undefined;
  readonly replies: readonly OwnReply[];
}

export const heardNote = (heard: Heard): Note => ({ key: VALUE_KEY, value: heard });
export const replyNote = (reply: OwnReply): Note => ({ key: REPLY_PREFIX + reply.messageId, value: reply });
export const replyRemoval = (messageId: string): Note => ({ key: REPLY_PREFIX + messageId, value: null });

export const readObligations = (outbox: Pick<Outbox, 'note' | 'notes'>): KeptObligations => {
  const heard = heardSchema.safeParse(outbox.note(VALUE_KEY)).data;
  const replies = [...outbox.notes(REPLY_PREFIX).values()].flatMap((value) => {
    const { data } = replySchema.safeParse(value);
    return data === undefined ? [] : [data];
  });
  return { heard, replies: replies.toSorted((a, b) => a.repliedAt - b.repliedAt) };
};
