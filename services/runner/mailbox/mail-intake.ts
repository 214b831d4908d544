// What becomes of an entry of the agent's mail: on disk, and then acknowledged. Does not fetch (runner-mail.ts) and starts no turn.
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Obligations } from '#services/runner/obligations/obligations.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import type { MailData } from '#streams/mail.ts';
import type { MailStep, MailTurns } from './mail-turns.ts';
import type { Mailbox } from './mailbox.ts';

type MessageSent = MailData<'sent'>;

export interface IntakeParts {
  readonly mailbox: Pick<Mailbox, 'receive'>;
  readonly obligations: Pick<Obligations, 'markDirty' | 'takenBack'>;
  readonly turns: Pick<MailTurns, 'arrived'>;
  readonly reached: (step: MailStep) => Promise<void> | void;
}

/** The message of an entry. Faults: `MAIL_UNREADABLE` (never). */
export const decodeMessage = (entry: StoredEntry): MessageSent => {
  const reading = decodeMail(entry);
  if (reading.kind === 'known' && reading.name === 'sent') return reading.data;
  const what = reading.kind === 'known' ? reading.name : reading.kind;
  const why = reading.kind === 'problem' ? reading.problem : `not a message: ${what}`;
  throw new Fault({ code: 'MAIL_UNREADABLE', retry: 'never', message: why });
};

/** Resolves when the message is on disk. Repeatable. Faults: those of {@link Mailbox.receive}. */
export const takeMessage =
  ({ mailbox, obligations, turns, reached }: IntakeParts) =>
  async (message: MessageSent): Promise<Handled> => {
    // What the agent owes may have changed: asked for before anything else, so that it is known when the turn starts.
    obligations.markDirty();
    const { kind, replyTo } = message;
    // A notice about a message of the agent's own says that it was turned down.
    if (kind === 'notice' && replyTo !== null) obligations.takenBack(replyTo);
    await reached('mail-taken');
    if ((await mailbox.receive(message)) === 'stored') turns.arrived();
    await reached('mail-stored');
    return ok;
  };
