// Finding mail that is stored: the summary of a message together with what the log has beyond it, so that nothing stored is missed
// however far behind the projection is. Reads only.
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { readPosition } from '#libs/projections/position.ts';
import { viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { decodeMail, type MailEvent } from '#streams/mail-codec.ts';
import { messageViewSchema, type MessageView } from '#streams/mail-views.ts';
import type { MailName } from '#streams/mail.ts';
import { mailboxOf } from '#streams/mail.ts';
import { typedSubject, type Boundary } from '#streams/subjects.ts';
import type { MessageSent, Original } from './message.policy.ts';

/** A message that was found, and where it stands. */
interface Found extends Original {
  readonly sentSeq: number;
}

export interface MessageLookup {
  /** A message to this recipient, as far as it has one of this id; and its first reply, up to the log's end. */
  find(boundary: Boundary, to: string, messageId: string): Promise<Found | undefined>;
  /** The whole message at this sequence; undefined: another entry stands there, or the stream has forgotten it. */
  sentAt(boundary: Boundary, to: string, seq: number): Promise<MessageSent | undefined>;
  /** The last entry of a subject of the recipient; 0: there is none. */
  lastSeq(boundary: Boundary, to: string, name: MailName): Promise<number>;
  /** A nudge of this writer in the recipient's mailbox since then, epoch ms. */
  recentNudge(
    place: Boundary & { readonly to: string },
    from: string,
    sinceMs: number,
  ): Promise<{ readonly messageId: string; readonly seq: number } | undefined>;
}

interface Parts {
  /** The log of MESSAGES. */
  readonly log: EventLog;
  /** Bucket `messages`. */
  readonly messages: KeyValue;
}

const subjectOf = (boundary: Boundary, to: string, name: MailName): string =>
  typedSubject(boundary, 'msg', mailboxOf(to), name);

/** The event of an entry; undefined: of a newer version. Throws `MAIL_UNREADABLE` (never). */
const eventOf = (entry: StoredEntry): MailEvent | undefined => {
  const reading = decodeMail(entry);
  if (reading.kind === 'problem')
    throw new Fault({
      code: 'MAIL_UNREADABLE',
      retry: 'never',
      message: `${entry.subject}: ${reading.problem}`,
    });
  return reading.kind === 'unknown' ? undefined : reading;
};

export const createMessageLookup = ({ log, messages }: Parts): MessageLookup => {
  const viewOf = async (boundary: Boundary, messageId: string): Promise<MessageView | undefined> => {
    const entry = await messages.get(viewKey(boundary, messageId));
    return entry === undefined ? undefined : messageViewSchema.parse(parseJson(entry.value));
  };
  const findSent = async (
    subject: string,
    messageId: string,
    fromSeq: number,
  ): Promise<Found | undefined> => {
    for await (const entry of log.read(subject, fromSeq)) {
      const event = eventOf(entry);
      if (event?.name === 'sent' && event.data.messageId === messageId)
        return { ...event.data, replyId: null, sentSeq: entry.seq };
    }
    return undefined;
  };
  const findReply = async (subject: string, messageId: string, fromSeq: number): Promise<string | null> => {
    for await (const entry of log.read(subject, fromSeq)) {
      const event = eventOf(entry);
      if (event?.name === 'answered' && event.data.messageId === messageId) return event.data.replyId;
    }
    return null;
  };
  return {
    find: async (boundary, to, messageId) => {
      // In this order: what the position says is folded is in the value that is read after it.
      const { position } = await readPosition(messages);
      const fromSeq = (position?.seq ?? 0) + 1;
      const view = await viewOf(boundary, messageId);
      const found = view ?? (await findSent(subjectOf(boundary, to, 'sent'), messageId, fromSeq));
      if (found === undefined || found.to !== to || found.replyId !== null) return found;
      const replyId = await findReply(subjectOf(boundary, to, 'answered'), messageId, fromSeq);
      return { ...found, replyId };
    },
    sentAt: async (boundary, to, seq) => {
      for await (const entry of log.read(subjectOf(boundary, to, 'sent'), seq)) {
        const event = entry.seq === seq ? eventOf(entry) : undefined;
        return event?.name === 'sent' ? event.data : undefined;
      }
      return undefined;
    },
    lastSeq: async (boundary, to, name) => (await log.last(subjectOf(boundary, to, name)))?.seq ?? 0,
    recentNudge: async ({ to, ...boundary }, from, sinceMs) => {
      const subject = subjectOf(boundary, to, 'sent');
      const last = await log.last(subject);
      if (last === undefined || last.storedAt < sinceMs) return undefined;
      for await (const entry of log.replay({ subjects: [subject], from: { atMs: sinceMs } })) {
        const event = eventOf(entry);
        if (event?.name === 'sent' && event.data.kind === 'nudge' && event.data.from === from)
          return { messageId: event.data.messageId, seq: entry.seq };
      }
      return undefined;
    },
  };
};
