// Gives mail to turns that run already: to a turn in the conversation that the mail goes to, if its program says when it has taken words up.
// The messages leave `unread` when it has said so, and not before: a turn that ends, or a runner that dies, leaves them to the next turn.
// One piece at a time a turn. Decides nothing about mail that no running turn can take (mail-turns.ts).
import type { PatientCommit } from '#libs/outbox/commit-patiently.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { ProviderTurn } from '#services/runner/providers/provider.ts';
import type { TurnScope } from '#services/runner/report-writer.ts';
import { makeId } from '#streams/ids.ts';
import { chooseBatch, type MailBatchLimits } from './mail-batch.policy.ts';
import { promptMail } from './mail-batches.ts';
import { batchInMs } from './mail-pace.policy.ts';
import { renderMailPrompt } from './mail-prompt.policy.ts';
import type { Mailbox } from './mailbox.ts';
import type { MailHead } from './stored-mail.ts';

type Deliver = NonNullable<ProviderTurn['deliver']>;

/** What became of mail that a running turn was given. */
export type SteeringObservation =
  | { readonly kind: 'steered'; readonly turnId: string; readonly messages: number }
  | { readonly kind: 'not-steered'; readonly turnId: string; readonly code: string };

export interface MailSteeringParts {
  readonly mailbox: Mailbox;
  readonly commit: PatientCommit;
  /** The conversation that a message goes to; undefined: a new one. */
  readonly conversationOf: (head: MailHead) => string | undefined;
  readonly limits: MailBatchLimits;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly observe: (observation: SteeringObservation) => void;
  /** There may be something else to do. */
  readonly ring: () => void;
  readonly onFatal: (error: unknown) => void;
}

interface Target {
  readonly scope: TurnScope;
  readonly deliver: Deliver;
  /** What its program did not take: it has no second try in this turn. */
  readonly refused: Set<string>;
  giving: Promise<void> | undefined;
  isSilent: boolean;
}

export class MailSteering {
  readonly #parts: MailSteeringParts;
  readonly #targets = new Map<string, Target>();

  constructor(parts: MailSteeringParts) {
    this.#parts = parts;
  }

  /** The program of the turn runs, and its start is on disk. */
  opened(scope: TurnScope, deliver: Deliver): void {
    this.#targets.set(scope.turnId, {
      scope,
      deliver,
      refused: new Set(),
      giving: undefined,
      isSilent: false,
    });
    this.#parts.ring();
  }

  /** The run is somebody else's: what its program takes from now on is not said to have been read. */
  silence(turnId: string): void {
    const target = this.#targets.get(turnId);
    if (target !== undefined) target.isSilent = true;
  }

  /** The program has ended. Resolves when what it has taken is on disk. Repeatable. */
  async closed(turnId: string): Promise<void> {
    const target = this.#targets.get(turnId);
    if (target === undefined) return;
    await target.giving;
    this.#targets.delete(turnId);
    this.#parts.ring();
  }

  /** Whether a running turn is to have it: it is in no batch meanwhile. */
  isReserved(head: MailHead): boolean {
    const sessionId = this.#parts.conversationOf(head);
    if (sessionId === undefined || this.#isExpired(head)) return false;
    for (const { scope, refused } of this.#targets.values())
      if (scope.sessionId === sessionId && !refused.has(head.messageId)) return true;
    return false;
  }

  /** Gives what is due of these to the turns that run. Resolves nothing: says in how many ms more is due; undefined: nothing is. */
  offer(unread: readonly MailHead[]): number | undefined {
    let dueMs: number | undefined;
    for (const target of this.#targets.values()) {
      if (target.giving !== undefined) continue;
      const mine = unread.filter((head) => this.#isFor(target, head));
      const [oldest] = mine;
      if (oldest === undefined) continue;
      const waitedMs = this.#parts.clock.now() - oldest.storedAt;
      const waitMs = batchInMs({ waitedMs, isUrgent: true }, false);
      if (waitMs > 0) dueMs = Math.min(dueMs ?? waitMs, waitMs);
      else this.#begin(target, mine);
    }
    return dueMs;
  }

  #isFor({ scope, refused }: Target, head: MailHead): boolean {
    const isHere = this.#parts.conversationOf(head) === scope.sessionId;
    return isHere && !refused.has(head.messageId) && !this.#isExpired(head);
  }

  #isExpired({ expiresAt }: MailHead): boolean {
    return expiresAt !== null && expiresAt <= this.#parts.clock.now();
  }

  #begin(target: Target, mine: readonly MailHead[]): void {
    const { limits, clock, ring, onFatal } = this.#parts;
    // All of them go to one conversation, whichever way they ask for it.
    const waiting = mine.map((head) => ({ ...head, sessionId: target.scope.sessionId }));
    const { chosen } = chooseBatch(waiting, limits, clock.now());
    target.giving = this.#give(target, chosen)
      .catch(onFatal)
      .finally(() => {
        target.giving = undefined;
        ring();
      });
  }

  async #give(target: Target, messageIds: readonly string[]): Promise<void> {
    const { mailbox, commit, ids, observe } = this.#parts;
    const { runId, sessionId, turnId, fence } = target.scope;
    const batchId = makeId('batch', ids.ulid());
    const mail = promptMail(mailbox, messageIds);
    const text = renderMailPrompt({ batchId, mail, owed: [], isMidTurn: true });
    const answer = await target.deliver(text, batchId);
    if (answer.kind === 'refused' || target.isSilent) {
      for (const messageId of messageIds) target.refused.add(messageId);
      const code = answer.kind === 'refused' ? answer.code : 'RUN_LOST';
      return observe({ kind: 'not-steered', turnId, code });
    }
    const { change, stored } = mailbox.injected(messageIds, { runId, sessionId, turnId, fence });
    await commit(change);
    stored();
    observe({ kind: 'steered', turnId, messages: messageIds.length });
  }
}
