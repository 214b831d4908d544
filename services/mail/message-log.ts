// The log of MESSAGES as the mail service writes and reads it. One id is one message, for ever: within the duplicate window the broker
// sees to it, beyond it the summary together with what the log has after it. Decides nothing (message.policy.ts does).
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { idTimeMs } from '#streams/ids.ts';
import { encodeMail } from '#streams/mail-codec.ts';
import type { MailData, MailName } from '#streams/mail.ts';
import type { EntryMeta } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { MessageLookup } from './message-lookup.ts';
import { isSameMessage, type MessageSent } from './message.policy.ts';

/** The process that appends mail. */
const SOURCE = '/service/mail';

/** Why an entry is written. */
export interface Cause {
  readonly boundary: Boundary;
  readonly actor: string;
  readonly causation?: string;
  readonly correlation?: string;
}

/** `conflict`: another message has this id. */
type SendOutcome =
  | { readonly kind: 'stored'; readonly seq: number; readonly repeated: boolean }
  | {
      readonly kind: 'conflict';
      /** Absent: to somebody else, or forgotten by the stream. */ readonly with: MessageSent | undefined;
    };

export interface MessageLog {
  /** Stores a message, once. */
  send(sent: MessageSent, cause: Cause): Promise<SendOutcome>;
  /** Stores a reply together with the closing of what it answers: both or none. `contended`: somebody else has answered another message; look again. */
  sendAnswering(
    sent: MessageSent,
    answered: MailData<'answered'>,
    options: { readonly cause: Cause; readonly expectedSeq: number },
  ): Promise<SendOutcome | { readonly kind: 'contended' }>;
  /** Stores a message if the last entry of its recipient's mailbox is still this one. */
  sendAfter(
    sent: MessageSent,
    cause: Cause,
    expectedSeq: number,
  ): Promise<SendOutcome | { readonly kind: 'contended' }>;
  /** Stores what happened to a message, once. `sinceMs`: nothing of it can have been stored before, epoch ms. */
  record<Name extends Exclude<MailName, 'sent' | 'answered'>>(
    name: Name,
    data: MailData<Name>,
    options: {
      readonly id: string;
      readonly cause: Cause;
      readonly timeMs: number;
      readonly sinceMs: number;
    },
  ): Promise<void>;
}

interface Parts {
  /** The log of MESSAGES. */
  readonly log: EventLog;
  readonly lookup: MessageLookup;
  readonly clock: Clock;
}

/** Half of the stream's duplicate window (streams/streams.ts), less what clocks may differ by. */
const FRESH_MS = 30 * 60_000;
const SKEW_MS = 60_000;

class MailLog implements MessageLog {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async send(sent: MessageSent, cause: Cause): Promise<SendOutcome> {
    const known = await this.#isKnown(sent, cause.boundary);
    if (known !== undefined) return known;
    // No expectation: messages of one mailbox do not depend on one another.
    const outcome = await this.#parts.log.append(this.#entryOf(sent, cause));
    if (outcome.kind === 'conflict') throw new InvariantBroken('an append without expectation conflicted');
    return this.#stored(sent, cause.boundary, outcome);
  }

  async sendAfter(
    sent: MessageSent,
    cause: Cause,
    expectedSeq: number,
  ): Promise<SendOutcome | { readonly kind: 'contended' }> {
    const known = await this.#isKnown(sent, cause.boundary);
    if (known !== undefined) return known;
    const outcome = await this.#parts.log.append({ ...this.#entryOf(sent, cause), expectedSeq });
    return outcome.kind === 'conflict' ? { kind: 'contended' } : this.#stored(sent, cause.boundary, outcome);
  }

  async sendAnswering(
    sent: MessageSent,
    answered: MailData<'answered'>,
    { cause, expectedSeq }: { readonly cause: Cause; readonly expectedSeq: number },
  ): Promise<SendOutcome | { readonly kind: 'contended' }> {
    const known = await this.#isKnown(sent, cause.boundary, true);
    if (known !== undefined) return known;
    const closing = encodeMail('answered', answered, {
      ...this.#metaOf(cause, answered.answeredAt),
      // That a message is answered once is held by the expectation; the id only makes a repeat of this reply the same.
      id: `${answered.messageId}.answered.${answered.replyId}`,
      correlation: sent.threadId,
    });
    const entries: NewEntry[] = [this.#entryOf(sent, cause), { ...closing, expectedSeq }];
    const outcome = await this.#parts.log.appendTogether(entries);
    if (outcome.kind === 'conflict') return { kind: 'contended' };
    const [seq = 0] = outcome.seqs;
    return { kind: 'stored', seq, repeated: outcome.duplicate };
  }

  async record<Name extends Exclude<MailName, 'sent' | 'answered'>>(
    name: Name,
    data: MailData<Name>,
    options: {
      readonly id: string;
      readonly cause: Cause;
      readonly timeMs: number;
      readonly sinceMs: number;
    },
  ): Promise<void> {
    const { log, clock } = this.#parts;
    const { id, cause, timeMs, sinceMs } = options;
    const entry = encodeMail<MailName>(name, data, { ...this.#metaOf(cause, timeMs), id });
    if (clock.now() - sinceMs > FRESH_MS) {
      const since = log.replay({ subjects: [entry.subject], from: { atMs: sinceMs - SKEW_MS } });
      for await (const stored of since) if (stored.headers['Nats-Msg-Id'] === id) return;
    }
    // No expectation: the folds take these in any order.
    await log.append(entry);
  }

  #metaOf(cause: Cause, timeMs: number): Omit<EntryMeta, 'id'> {
    return { ...cause, source: SOURCE, timeMs };
  }

  #entryOf(sent: MessageSent, cause: Cause): NewEntry {
    const { sentAt, messageId, threadId } = sent;
    return encodeMail('sent', sent, {
      ...this.#metaOf(cause, sentAt),
      id: messageId,
      correlation: cause.correlation ?? threadId,
    });
  }

  /** Looks for a message whose id is so old, or made in such a way, that the broker may not remember it. */
  async #isKnown(sent: MessageSent, boundary: Boundary, always = false): Promise<SendOutcome | undefined> {
    const ageMs = this.#parts.clock.now() - idTimeMs(sent.messageId);
    if (!always && Math.abs(ageMs) < FRESH_MS) return undefined;
    const found = await this.#parts.lookup.find(boundary, sent.to, sent.messageId);
    if (found === undefined) return undefined;
    const outcome = await this.#stored(sent, boundary, { seq: found.sentSeq, duplicate: true });
    // The stream has forgotten it, and what the summary kept of it agrees.
    const isSame = found.to === sent.to && found.from === sent.from && found.subject === sent.subject;
    const isForgotten = outcome.kind === 'conflict' && outcome.with === undefined;
    return isSame && isForgotten ? { kind: 'stored', seq: found.sentSeq, repeated: true } : outcome;
  }

  /** Whether what stands at `seq` is this message. */
  async #stored(
    sent: MessageSent,
    boundary: Boundary,
    { seq, duplicate }: { readonly seq: number; readonly duplicate: boolean },
  ): Promise<SendOutcome> {
    if (!duplicate) return { kind: 'stored', seq, repeated: false };
    const stored = await this.#parts.lookup.sentAt(boundary, sent.to, seq);
    if (stored !== undefined && isSameMessage(sent, stored)) return { kind: 'stored', seq, repeated: true };
    return { kind: 'conflict', with: stored };
  }
}

export const createMessageLog = (parts: Parts): MessageLog => new MailLog(parts);
