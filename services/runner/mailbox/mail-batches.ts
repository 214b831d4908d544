// Makes the next batch of waiting mail and puts it into the journal: which messages, which words, which conversation. What is over its
// time is reported and leaves. Asks nobody and starts nothing (mail-turns.ts).
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { isoTime } from '#libs/telemetry/iso-time.ts';
import type { ObligationSnapshot } from '#services/runner/obligations/obligation-snapshot.policy.ts';
import { makeId } from '#streams/ids.ts';
import type { ProviderName } from '#streams/run.ts';
import { chooseBatch, type MailBatchLimits } from './mail-batch.policy.ts';
import type { JournaledBatch, MailJournal } from './mail-journal.ts';
import { renderMailPrompt, type PromptMail, type PromptOwed } from './mail-prompt.policy.ts';
import type { Mailbox } from './mailbox.ts';
import type { MailHead } from './stored-mail.ts';

/** How mail is brought to the agent. */
interface MailSettings {
  /** The kind of program. */
  readonly provider: ProviderName;
  /** The workspace of the conversation for mail; undefined: its own. */
  readonly workspace: string | undefined;
  readonly turnTimeoutMs: number;
  /** Whether mail that asks for no conversation goes on with the last one; false: each batch begins a new one. */
  readonly isSessionKept: boolean;
  readonly limits: MailBatchLimits;
}

/** With the lines around the texts this stays below what a prompt may have, and below what is stored in one piece. */
export const MAIL_BATCH_LIMITS: MailBatchLimits = { messages: 50, bytes: 96 * 1024 };

export interface MailBatchesParts {
  readonly mailbox: Mailbox;
  readonly journal: MailJournal;
  readonly outbox: Pick<Outbox, 'commit'>;
  readonly owed: () => ObligationSnapshot;
  /** The workspace that a conversation was last in, where it is not its own. */
  readonly workspaceOf: (sessionId: string) => string | undefined;
  readonly settings: MailSettings;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** What stands in for a text that has been lost from the disk. */
const TEXT_LOST = '(the text of this message is lost on this machine)';

/** Messages as a prompt shows them, in the order given; what is not here any more is left out. */
export const promptMail = (mailbox: Mailbox, messageIds: readonly string[]): readonly PromptMail[] =>
  messageIds.flatMap((messageId) => {
    const head = mailbox.head(messageId);
    if (head === undefined) return [];
    return [{ ...head, body: mailbox.body(messageId) ?? TEXT_LOST, sentAt: isoTime(head.sentAt) }];
  });

export class MailBatches {
  readonly #parts: MailBatchesParts;
  /** Conversations that the control plane does not know for this agent. */
  readonly #refused = new Set<string>();

  constructor(parts: MailBatchesParts) {
    this.#parts = parts;
  }

  /** Resolves with the batch of what waits when it is in the journal; undefined: nothing waits any more. */
  async make(unread: readonly MailHead[], failures: number): Promise<JournaledBatch | undefined> {
    const { mailbox, outbox, settings, clock, journal } = this.#parts;
    const waiting = unread.map((head) => ({ ...head, sessionId: this.#sessionOf(head) }));
    const { expired, chosen, sessionId } = chooseBatch(waiting, settings.limits, clock.now());
    if (expired.length > 0) {
      const { change, stored } = mailbox.expired(expired);
      await outbox.commit(change);
      stored();
    }
    if (chosen.length === 0) return undefined;
    const batch = this.#batchOf(chosen, sessionId, failures);
    await journal.write(batch);
    return batch;
  }

  /** The conversation of a batch was turned down: from now on its mail goes elsewhere. */
  async refuseSession(sessionId: string): Promise<void> {
    const { journal } = this.#parts;
    this.#refused.add(sessionId);
    if (journal.session() === sessionId) await journal.keepSession(undefined);
  }

  /** The conversation that a message goes to; undefined: a new one. */
  conversationOf(head: MailHead): string | undefined {
    const { journal, settings } = this.#parts;
    return this.#sessionOf(head) ?? (settings.isSessionKept ? journal.session() : undefined);
  }

  #sessionOf({ sessionId }: MailHead): string | null {
    return sessionId === null || this.#refused.has(sessionId) ? null : sessionId;
  }

  #batchOf(messageIds: readonly string[], asked: string | null, failures: number): JournaledBatch {
    const { ids, journal, settings, workspaceOf } = this.#parts;
    const batchId = makeId('batch', ids.ulid());
    const kept = settings.isSessionKept ? journal.session() : undefined;
    const sessionId = asked ?? kept ?? null;
    const own = asked === null ? settings.workspace : undefined;
    const workspace = own ?? (sessionId === null ? undefined : workspaceOf(sessionId));
    return {
      batchId,
      messageIds: [...messageIds],
      prompt: renderMailPrompt({
        batchId,
        mail: promptMail(this.#parts.mailbox, messageIds),
        owed: this.#owedBeside(messageIds),
      }),
      provider: settings.provider,
      sessionId,
      workspace: workspace ?? null,
      turnTimeoutMs: settings.turnTimeoutMs,
      failures,
    };
  }

  /** What the agent has been shown before and still owes. */
  #owedBeside(messageIds: readonly string[]): readonly PromptOwed[] {
    return this.#parts
      .owed()
      .owed.filter(({ messageId, injectedAt }) => injectedAt !== null && !messageIds.includes(messageId));
  }
}
