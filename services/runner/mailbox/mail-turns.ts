// Brings waiting mail to the agent: asks for the run of the batch in the journal, in the same words until it is known what became of it.
// The messages leave `unread` in the transaction that says that the turn has started. One batch at a time; what comes meanwhile joins the
// next. A run that ended without a start gives its messages back. Does not run programs (turn.ts).
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import { WakeUp } from '#libs/outbox/wake-up.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { AgentAnswer } from '#services/runner/agent-requests.ts';
import type { TurnScope } from '#services/runner/report-writer.ts';
import type { BesideStart } from '#services/runner/turn-parts.ts';
import { mailRunId, type AgentMailRequestOf, type AgentMailResultOf } from '#streams/mail-requests.ts';
import type { RunStateName } from '#streams/run.ts';
import type { MailBatches } from './mail-batches.ts';
import type { JournaledBatch, MailJournal } from './mail-journal.ts';
import { afterFailureMs, askAgainInMs, batchInMs } from './mail-pace.policy.ts';
import type { MailTurn } from './mail-reports.ts';
import type { MailSteering, SteeringObservation } from './mail-steering.ts';
import type { Mailbox } from './mailbox.ts';

/** The points of a message's way to a turn between which a crash makes a difference, in order; those of the turn follow. */
export const MAIL_STEPS = ['mail-taken', 'mail-stored', 'batch-fixed', 'begin-asked', 'run-known'] as const;
export type MailStep = (typeof MAIL_STEPS)[number];

/** What happens to mail, for logs. */
export type MailObservation =
  | SteeringObservation
  | { readonly kind: 'batch'; readonly batchId: string; readonly messages: number; readonly left: number }
  | { readonly kind: 'away'; readonly batchId: string; readonly message: string; readonly waitMs: number }
  | { readonly kind: 'refused'; readonly batchId: string; readonly code: string; readonly message: string }
  | { readonly kind: 'not-started'; readonly batchId: string; readonly state: RunStateName }
  | {
      readonly kind: 'started';
      readonly batchId: string;
      readonly turnId: string;
      readonly isForeign: boolean;
    };

export interface MailTurnsParts {
  readonly mailbox: Mailbox;
  readonly journal: MailJournal;
  readonly batches: MailBatches;
  /** Undefined: mail waits for a turn of its own. */
  readonly steering: MailSteering | undefined;
  readonly outbox: Pick<Outbox, 'commit'>;
  readonly begin: (
    request: AgentMailRequestOf<'begin-turn'>,
  ) => Promise<AgentAnswer<AgentMailResultOf<'begin-turn'>>>;
  /** Whether a turn that was begun now would have to wait. */
  readonly isBusy: () => boolean;
  readonly isSessionKept: boolean;
  readonly clock: Clock;
  /** Called at each step; the loop goes on when it resolves. Tests crash here. */
  readonly reached: (step: MailStep) => Promise<void> | void;
  readonly observe: (observation: MailObservation) => void;
}

const ENDED: ReadonlySet<RunStateName> = new Set(['completed', 'failed', 'blocked', 'cancelled']);
/** Instead of a time: until somebody rings. */
const UNTIL_RUNG = undefined;

const NOTHING: BesideStart = { records: [], notes: [], stored: () => undefined };

const soonest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);

export class MailTurns {
  readonly #parts: MailTurnsParts;
  readonly #bell: WakeUp;
  /** Runs of mail whose program this process has started and that are not over. */
  readonly #running = new Set<string>();
  /** Times that the run of the batch in hand was asked for since something happened to it. */
  #asked = 0;
  #askAtMs = 0;
  #failures = 0;
  #notBeforeMs = 0;

  constructor(parts: MailTurnsParts) {
    this.#parts = parts;
    this.#bell = new WakeUp(parts.clock);
  }

  /** Mail has come. */
  arrived(): void {
    this.#ring();
  }

  /** There is room for a turn, which mail may have been waiting for. */
  freed(): void {
    this.#bell.ring();
  }

  /** A turn of this runner is over: if it was the batch's it is time to ask what became of it. */
  turnOver(runId: string): void {
    this.#running.delete(runId);
    const batch = this.#parts.journal.batch();
    if (batch !== undefined && mailRunId(batch.batchId) === runId) {
      this.#asked = 0;
      this.#askAtMs = 0;
    }
    this.#ring();
  }

  /** What is to be committed together with the start of a turn: of mail, if it is one that brings mail. */
  besideStart({ runId, sessionId, turnId, fence }: TurnScope): BesideStart {
    const batch = this.#parts.journal.batch();
    if (batch === undefined || mailRunId(batch.batchId) !== runId) return NOTHING;
    const { records, notes, stored } = this.#takenOut(batch, { runId, sessionId, turnId, fence });
    return {
      records,
      notes,
      stored: () => {
        stored();
        this.#failures = 0;
        this.#running.add(runId);
        this.#parts.observe({ kind: 'started', batchId: batch.batchId, turnId, isForeign: false });
        this.#bell.ring();
      },
    };
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#bell.ring();
    signal.addEventListener('abort', wake, { once: true });
    try {
      while (!signal.aborted) {
        const waitMs = await this.#step();
        if (waitMs !== 0 && !signal.aborted) await this.#bell.wait(waitMs);
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  /** Without mail there is nothing to look at: most turns have none to do with. */
  #ring(): void {
    const { journal, mailbox } = this.#parts;
    if (journal.batch() !== undefined || mailbox.unread().length > 0) this.#bell.ring();
  }

  /** Does at most one thing, and says in how many ms the next is due. */
  async #step(): Promise<number | undefined> {
    const { journal, clock } = this.#parts;
    const steerInMs = this.#steer();
    const batch = journal.batch();
    if (batch === undefined) return soonest(steerInMs, await this.#next());
    const waitMs = this.#askAtMs - clock.monotonicMs();
    return soonest(steerInMs, waitMs > 0 ? waitMs : await this.#pursue(batch));
  }

  /** Mail does not pass what is under way to the same conversation already. */
  #steer(): number | undefined {
    const { mailbox, journal, batches, steering } = this.#parts;
    const batch = journal.batch();
    const inHand = new Set(batch?.messageIds);
    const unread = mailbox.unread().filter((head) => {
      if (inHand.has(head.messageId)) return false;
      return batch === undefined || batches.conversationOf(head) !== batch.sessionId;
    });
    return unread.length === 0 ? UNTIL_RUNG : steering?.offer(unread);
  }

  async #next(): Promise<number | undefined> {
    return this.#running.size > 0 ? UNTIL_RUNG : this.#gather();
  }

  async #gather(): Promise<number | undefined> {
    const { mailbox, batches, steering, clock, isBusy, observe, reached } = this.#parts;
    const unread = mailbox.unread().filter((head) => steering?.isReserved(head) !== true);
    const [oldest] = unread;
    if (oldest === undefined) return UNTIL_RUNG;
    const isUrgent = unread.some(({ priority, kind }) => priority === 'high' || kind === 'nudge');
    const waitedMs = clock.now() - oldest.storedAt;
    const pauseMs = this.#notBeforeMs - clock.monotonicMs();
    const waitMs = Math.max(pauseMs, batchInMs({ waitedMs, isUrgent }, isBusy()));
    if (waitMs > 0) return waitMs;
    const batch = await batches.make(unread, this.#failures);
    if (batch === undefined) return 0;
    const { batchId, messageIds } = batch;
    observe({ kind: 'batch', batchId, messages: messageIds.length, left: unread.length - messageIds.length });
    await reached('batch-fixed');
    this.#asked = 0;
    this.#askAtMs = 0;
    return 0;
  }

  async #pursue(batch: JournaledBatch): Promise<number> {
    const { begin, clock, journal, observe, reached } = this.#parts;
    const { batchId, messageIds, prompt, provider, sessionId, workspace, turnTimeoutMs } = batch;
    const answer = await begin({
      batchId,
      messageIds: [...messageIds],
      prompt,
      provider,
      // All of it as it was when the batch was made: the run is known by the whole of its request.
      turnTimeoutMs,
      ...(sessionId !== null && { sessionId }),
      ...(workspace !== null && { workspace }),
    });
    await reached('begin-asked');
    // Its turn may have started meanwhile: then there is nothing left to pursue.
    if (journal.batch() !== batch) return 0;
    this.#asked += 1;
    const waitMs = askAgainInMs(this.#asked);
    this.#askAtMs = clock.monotonicMs() + waitMs;
    if (answer.kind === 'ok') return this.#learn(batch, answer.result);
    if (answer.kind === 'away') {
      observe({ kind: 'away', batchId, message: answer.message, waitMs });
      return 0;
    }
    observe({ kind: 'refused', batchId, code: answer.code, message: answer.message });
    if (sessionId !== null) await this.#parts.batches.refuseSession(sessionId);
    await this.#giveBack(batch);
    return 0;
  }

  async #learn(batch: JournaledBatch, run: AgentMailResultOf<'begin-turn'>): Promise<number> {
    const { journal, outbox, observe, reached, isSessionKept } = this.#parts;
    const { runId, sessionId, state, turnId } = run;
    if (isSessionKept && batch.sessionId === null && journal.session() !== sessionId)
      await journal.keepSession(sessionId);
    await reached('run-known');
    if (journal.batch() !== batch) return 0;
    if (turnId !== null) {
      // Not by this process: it would have taken the batch out with the start. Another runner of the agent has done it.
      const { records, notes, stored } = this.#takenOut(batch, { runId, sessionId, turnId, fence: null });
      await outbox.commit({ records, notes });
      stored();
      observe({ kind: 'started', batchId: batch.batchId, turnId, isForeign: true });
    } else if (ENDED.has(state)) {
      observe({ kind: 'not-started', batchId: batch.batchId, state });
      await this.#giveBack(batch);
    }
    return 0;
  }

  /** The messages are unread again; the next batch waits the longer, the more often this has happened in a row. */
  async #giveBack({ failures }: JournaledBatch): Promise<void> {
    const { journal, clock } = this.#parts;
    await journal.remove();
    this.#failures = failures + 1;
    this.#notBeforeMs = clock.monotonicMs() + afterFailureMs(this.#failures);
  }

  #takenOut(batch: JournaledBatch, turn: MailTurn): BesideStart {
    const { mailbox, journal } = this.#parts;
    const { change, stored } = mailbox.injected(batch.messageIds, turn);
    const removal = journal.removal();
    const notes: readonly Note[] = [...change.notes, removal.note];
    return {
      records: change.records,
      notes,
      stored: () => {
        stored();
        removal.stored();
      },
    };
  }
}
