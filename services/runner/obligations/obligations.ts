// What this runner's agent owes, always at hand: pushed by the control plane, fetched every 10 s as a backstop, kept over a restart,
// and corrected by the agent's own replies at once. A read is one field of memory. Does not connect to anything (obligation-source.ts)
// and decides nothing about turns.
import { toFault } from '#libs/kernel/fault.ts';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { BackgroundNotes } from './background-notes.ts';
import { heardNote, readObligations, replyNote, replyRemoval, type Heard } from './obligation-notes.ts';
import {
  repliesAfter,
  snapshotOf,
  UNHEARD,
  type ObligationSnapshot,
  type OwedValue,
  type OwnReply,
} from './obligation-snapshot.policy.ts';

/** Between two fetches that nobody asked for. */
const REFRESH_MS = 10_000;
/** From the first mark to the fetch that it asks for. */
const DIRTY_MS = 400;
/** For one fetch. */
const FETCH_MS = 5000;

/** What happened, for logs. */
export type ObligationObservation =
  | { readonly kind: 'refresh-failed'; readonly message: string; readonly served: number }
  | { readonly kind: 'changed'; readonly revision: number; readonly owed: number }
  | { readonly kind: 'not-kept'; readonly message: string };

export interface ObligationOptions {
  /** What the projection has now. May reject, and may never settle. */
  readonly fetch: () => Promise<OwedValue>;
  readonly outbox: Pick<Outbox, 'note' | 'notes' | 'commit' | 'status'>;
  readonly clock: Clock;
  readonly observe: (observation: ObligationObservation) => void;
}

/** A reply that the agent has just made. */
type MadeReply = Pick<OwnReply, 'messageId' | 'replyId' | 'seq'>;

export interface Obligations {
  /** Never throws, never waits, touches nothing but memory. What it gives is frozen and never changes. */
  current(): ObligationSnapshot;
  /** Fetches now and every 10 s from now on. Once; nothing after {@link stop}. */
  start(): void;
  /** Fetches, or joins the fetch under way. Never rejects; after {@link stop} it does nothing. */
  refresh(): Promise<void>;
  /** Something may have changed: fetches 400 ms after the first mark, whatever follows it, and never in a fetch that began before the mark. */
  markDirty(): void;
  /** Takes a value that was pushed. An older one than is known changes nothing. */
  take(value: OwedValue): void;
  /** The change that keeps an own reply over a restart: commit it together with what sends the reply, then call {@link replied}. */
  noteOf(reply: MadeReply): Note;
  /** Closes the obligation here at once. */
  replied(reply: MadeReply): void;
  /** The reply with this id was turned down after all: what it closed is open again, if the projection says so. */
  takenBack(replyId: string): void;
  /** Final: nothing changes any more, and what is under way is discarded. Reads go on. */
  stop(): void;
}

type FetchEnd =
  | { readonly kind: 'fetched'; readonly value: OwedValue }
  | { readonly kind: 'failed'; readonly message: string };

class LiveObligations implements Obligations {
  readonly #options: ObligationOptions;
  readonly #notes: BackgroundNotes;
  #snapshot: ObligationSnapshot = UNHEARD;
  #heard: Heard | undefined;
  #isStale = true;
  #replies: readonly OwnReply[];
  #phase: 'new' | 'started' | 'stopped' = 'new';
  #inFlight: Promise<void> | undefined;
  /** Whether the fetch under way began before the last mark. */
  #isOutdated = false;
  #cancelRefresh: CancelTimer = () => undefined;
  #cancelDirty: CancelTimer | undefined;
  #abandonFetch: () => void = () => undefined;
  /** Fetches in a row that gave an older value than the one held. */
  #older = 0;

  constructor(options: ObligationOptions) {
    this.#options = options;
    this.#notes = new BackgroundNotes(options.outbox, (message) =>
      options.observe({ kind: 'not-kept', message }),
    );
    const { heard, replies } = readObligations(options.outbox);
    this.#heard = heard;
    this.#replies = replies;
    this.#show();
  }

  current(): ObligationSnapshot {
    return this.#snapshot;
  }

  start(): void {
    if (this.#phase !== 'new') return;
    this.#phase = 'started';
    this.#refreshAndAgain();
  }

  refresh(): Promise<void> {
    if (this.#phase === 'stopped') return Promise.resolve();
    return (this.#inFlight ??= this.#fetchOnce());
  }

  markDirty(): void {
    if (this.#phase === 'stopped') return;
    this.#isOutdated = this.#inFlight !== undefined;
    this.#cancelDirty ??= this.#options.clock.timer(DIRTY_MS, () => {
      this.#cancelDirty = undefined;
      void this.#refreshAfterMark();
    });
  }

  take(value: OwedValue): void {
    if (this.#phase === 'stopped' || this.#isOlder(value)) return;
    this.#accept(value);
  }

  noteOf(reply: MadeReply): Note {
    return replyNote(this.#ownReply(reply));
  }

  replied(reply: MadeReply): void {
    if (this.#phase === 'stopped') return;
    const others = this.#replies.filter(({ messageId }) => messageId !== reply.messageId);
    this.#setReplies([...others, this.#ownReply(reply)]);
    this.markDirty();
  }

  takenBack(replyId: string): void {
    if (this.#phase === 'stopped') return;
    this.#setReplies(this.#replies.filter((reply) => reply.replyId !== replyId));
  }

  stop(): void {
    this.#phase = 'stopped';
    this.#cancelRefresh();
    this.#cancelDirty?.();
    this.#cancelDirty = undefined;
    this.#abandonFetch();
  }

  #refreshAndAgain(): void {
    void this.refresh();
    this.#cancelRefresh = this.#options.clock.timer(REFRESH_MS, () => this.#refreshAndAgain());
  }

  async #refreshAfterMark(): Promise<void> {
    if (this.#inFlight !== undefined && this.#isOutdated) await this.#inFlight;
    await this.refresh();
  }

  async #fetchOnce(): Promise<void> {
    this.#isOutdated = false;
    const end = await this.#fetch();
    this.#inFlight = undefined;
    if (this.#phase === 'stopped') return;
    if (end.kind === 'failed') {
      this.#isStale = true;
      this.#show();
      const served = this.#snapshot.owed.length;
      this.#options.observe({ kind: 'refresh-failed', message: end.message, served });
      return;
    }
    // An older value is a replica's that lags, unless the next fetch says the same: then the bucket was made anew.
    this.#older = this.#isOlder(end.value) ? this.#older + 1 : 0;
    if (this.#older !== 1) this.#accept(end.value);
  }

  #fetch(): Promise<FetchEnd> {
    return new Promise((resolve) => {
      const { clock, fetch } = this.#options;
      const fail = (message: string): void => settle({ kind: 'failed', message });
      const cancel = clock.timer(FETCH_MS, () => fail(`no answer within ${FETCH_MS} ms`));
      const settle = (end: FetchEnd): void => {
        cancel();
        resolve(end);
      };
      this.#abandonFetch = () => fail('stopped');
      // Whatever it throws: the snapshot stays as it is, and the next fetch is never far.
      const work = async (): Promise<OwedValue> => fetch();
      work().then(
        (value) => settle({ kind: 'fetched', value }),
        (error: unknown) => fail(toFault(error).message),
      );
    });
  }

  #isOlder(value: OwedValue): boolean {
    return this.#heard !== undefined && value.seq < this.#heard.value.seq;
  }

  #accept(value: OwedValue): void {
    const { clock, outbox, observe } = this.#options;
    const before = this.#heard?.value;
    const isNew = before === undefined || before.revision !== value.revision || before.seq !== value.seq;
    this.#heard = { value, refreshedAt: clock.now() };
    this.#older = 0;
    this.#isStale = false;
    if (outbox.status().pending === 0) this.#settleReplies();
    if (isNew) this.#notes.keep([heardNote(this.#heard)]);
    this.#setReplies(this.#replies);
    if (isNew) observe({ kind: 'changed', revision: value.revision, owed: this.#snapshot.owed.length });
  }

  /** Nothing waits in the buffer: a reply that went by it has left this machine. */
  #settleReplies(): void {
    const settledAt = this.#options.clock.now();
    this.#replies = this.#replies.map((reply) =>
      reply.settledAt === null ? { ...reply, settledAt } : reply,
    );
  }

  #ownReply({ messageId, replyId, seq }: MadeReply): OwnReply {
    const now = this.#options.clock.now();
    const wasListed = this.#heard?.value.owed.some((one) => one.messageId === messageId) ?? false;
    return { messageId, replyId, seq, repliedAt: now, settledAt: seq === null ? null : now, wasListed };
  }

  #setReplies(replies: readonly OwnReply[]): void {
    const value = this.#heard?.value;
    const left = value === undefined ? replies : repliesAfter(replies, value, this.#options.clock.now());
    const stays = new Set(left.map(({ messageId }) => messageId));
    const gone = [...this.#replies, ...replies].filter(({ messageId }) => !stays.has(messageId));
    const removed = new Set(gone.map(({ messageId }) => messageId));
    this.#replies = left;
    if (removed.size > 0) this.#notes.keep([...removed].map(replyRemoval));
    this.#show();
  }

  #show(): void {
    if (this.#heard === undefined) return;
    const { value, refreshedAt } = this.#heard;
    this.#snapshot = snapshotOf(value, this.#replies, { refreshedAt, stale: this.#isStale });
  }
}

/** Begins with what the last process knew, marked stale; hears nothing before {@link Obligations.start}. */
export const createObligations = (options: ObligationOptions): Obligations => new LiveObligations(options);
