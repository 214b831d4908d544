// The agent's mail on this machine: heads in memory, everything on disk. A message is stored in the transaction that reports it as
// delivered, and leaves `unread` in the transaction that reports the turn that brought it. Knows no broker and starts no turn.
import { Fault } from '#libs/kernel/fault.ts';
import type { Change, NewRecord, Note, Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import type { MailReports, MailTurn } from './mail-reports.ts';
import {
  bodyNote,
  bodyRemoval,
  headNote,
  headRemoval,
  readBody,
  readHeads,
  type IncomingMail,
  type MailHead,
} from './stored-mail.ts';

/** What a mailbox holds at most. */
export interface MailboxLimits {
  /** Unread messages; more stay where they come from. */
  readonly unread: number;
  /** Of unread texts. */
  readonly unreadBytes: number;
  /** Read messages whose text is kept, the newest. */
  readonly readTexts: number;
  /** Read messages that are known when they come again, the newest. */
  readonly known: number;
}

const LIMITS: MailboxLimits = {
  unread: 10_000,
  unreadBytes: 128 * 1024 * 1024,
  readTexts: 200,
  known: 10_000,
};

export interface MailboxParts {
  readonly outbox: Pick<Outbox, 'commit' | 'note' | 'notes'>;
  readonly redactor: Redactor;
  readonly clock: Clock;
  readonly reports: MailReports;
  readonly limits?: Partial<MailboxLimits>;
}

/** A change that is to be committed, and then told to the mailbox. */
export interface MailChange {
  readonly change: Required<Omit<Change, 'certainty' | 'canWait'>>;
  /** It is on disk. */
  readonly stored: () => void;
}

const encoder = new TextEncoder();
const sizeOf = (text: string): number => encoder.encode(text).byteLength;

const full = (): Fault =>
  new Fault({
    code: 'MAILBOX_FULL',
    retry: 'later',
    message: 'the mailbox of this runner is full; the message stays in the stream until some are read',
  });

export class Mailbox {
  /** Keys of notes that cannot be read. */
  readonly unreadable: readonly string[];
  readonly #parts: MailboxParts;
  readonly #limits: MailboxLimits;
  /** In the order of arrival. */
  readonly #heads: Map<string, MailHead>;
  /** Waiting for a turn, in the order of arrival. */
  readonly #unread: Map<string, MailHead>;
  /** Read messages whose text is kept, the oldest first. */
  readonly #texts: Set<string>;
  #unreadBytes = 0;
  #nextOrder: number;

  constructor(parts: MailboxParts) {
    this.#parts = parts;
    this.#limits = { ...LIMITS, ...parts.limits };
    const { heads, unreadable } = readHeads(parts.outbox);
    this.unreadable = unreadable;
    this.#heads = new Map(heads.map((head) => [head.messageId, head]));
    this.#unread = new Map();
    this.#texts = new Set();
    for (const head of heads) this.#index(head);
    this.#nextOrder = (heads.at(-1)?.order ?? 0) + 1;
  }

  /** Messages that were in no prompt, in the order of arrival. */
  unread(): readonly MailHead[] {
    return [...this.#unread.values()];
  }

  get unreadCount(): number {
    return this.#unread.size;
  }

  head(messageId: string): MailHead | undefined {
    return this.#heads.get(messageId);
  }

  /** The newest messages, oldest of them first. */
  newest(limit: number): readonly MailHead[] {
    return [...this.#heads.values()].filter(({ state }) => state !== 'gone').slice(-limit);
  }

  /** What the turn brought to the agent: the messages that its words are about. */
  broughtBy(turnId: string): readonly MailHead[] {
    return [...this.#heads.values()].filter((head) => head.turnId === turnId);
  }

  /** Undefined: its text is no longer kept. */
  body(messageId: string): string | undefined {
    return readBody(this.#parts.outbox, messageId);
  }

  /**
   * Resolves when the message is on disk together with the report of it. One that came before changes nothing. Faults: `MAILBOX_FULL`
   * (later) and those of the buffer.
   */
  async receive(mail: IncomingMail): Promise<'stored' | 'known'> {
    if (this.#heads.has(mail.messageId)) return 'known';
    const { clock, outbox, redactor, reports } = this.#parts;
    const { body: given, ...rest } = mail;
    const body = redactor.text(given).value;
    const subject = rest.subject === null ? null : redactor.text(rest.subject).value;
    const bytes = sizeOf(body) + sizeOf(subject ?? '');
    const { unread, unreadBytes } = this.#limits;
    if (this.#unread.size >= unread || (this.#unread.size > 0 && this.#unreadBytes + bytes > unreadBytes))
      throw full();
    const storedAt = clock.now();
    const order = this.#nextOrder;
    this.#nextOrder += 1;
    const head: MailHead = { ...rest, subject, bytes, order, storedAt, state: 'unread', turnId: null };
    await outbox.commit({
      records: [reports.delivered(mail.messageId, storedAt)],
      notes: [headNote(head), bodyNote(mail.messageId, body)],
    });
    this.#heads.set(head.messageId, head);
    this.#index(head);
    return 'stored';
  }

  /** The turn that brings these messages has started; those that are not here, or were read before, are left out. */
  injected(messageIds: readonly string[], turn: MailTurn): MailChange {
    const { clock, reports } = this.#parts;
    const at = clock.now();
    const heads = this.#unreadOf(messageIds).map((head): MailHead => ({
      ...head,
      state: 'injected',
      turnId: turn.turnId,
    }));
    const records = heads.map(({ messageId }) => reports.injected(messageId, turn, at));
    return this.#changeTo(heads, records);
  }

  /** Over their time before they were in a prompt. */
  expired(messageIds: readonly string[]): MailChange {
    const { clock, reports } = this.#parts;
    const at = clock.now();
    const heads = this.#unreadOf(messageIds).map((head): MailHead => ({ ...head, state: 'gone' }));
    return this.#changeTo(
      heads,
      heads.map(({ messageId }) =>
        reports.expired(messageId, 'over its time before a turn could take it', at),
      ),
    );
  }

  /** The agent has replied to it: it needs no prompt any more. */
  answered(messageId: string): MailChange {
    const head = this.#heads.get(messageId);
    const heads = head === undefined ? [] : [{ ...head, state: 'answered' as const }];
    return this.#changeTo(heads, []);
  }

  #unreadOf(messageIds: readonly string[]): readonly MailHead[] {
    return messageIds.flatMap((messageId) => this.#unread.get(messageId) ?? []);
  }

  #changeTo(heads: readonly MailHead[], records: readonly NewRecord[]): MailChange {
    const forgotten = this.#overflow(heads);
    const notes: Note[] = [...heads.map(headNote), ...forgotten.notes];
    return {
      change: { records, notes },
      stored: () => {
        for (const head of heads) {
          this.#heads.set(head.messageId, head);
          this.#index(head);
        }
        for (const messageId of forgotten.texts) this.#texts.delete(messageId);
        for (const messageId of forgotten.heads) this.#heads.delete(messageId);
      },
    };
  }

  /** What has to be forgotten for these to be kept as read. */
  #overflow(heads: readonly MailHead[]): {
    readonly notes: readonly Note[];
    readonly texts: readonly string[];
    readonly heads: readonly string[];
  } {
    const { readTexts, known } = this.#limits;
    const ids = heads.map(({ messageId }) => messageId);
    const kept = [...[...this.#texts].filter((messageId) => !ids.includes(messageId)), ...ids];
    const texts = kept.slice(0, Math.max(0, kept.length - readTexts));
    const read = this.#heads.size - this.#unread.size + heads.length;
    const old: string[] = [];
    for (const head of this.#heads.values()) {
      if (read - old.length <= known) break;
      if (head.state !== 'unread') old.push(head.messageId);
    }
    return { notes: [...texts.map(bodyRemoval), ...old.map(headRemoval)], texts, heads: old };
  }

  #index(head: MailHead): void {
    const before = this.#unread.get(head.messageId);
    if (head.state === 'unread') {
      this.#unread.set(head.messageId, head);
      this.#unreadBytes += head.bytes;
      return;
    }
    if (before !== undefined) {
      this.#unread.delete(head.messageId);
      this.#unreadBytes -= before.bytes;
    }
    this.#texts.add(head.messageId);
  }
}
