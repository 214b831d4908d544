// A stream, read once for all who follow it in this process: what the broker would send to each of them comes over one consumer and is handed
// out here, the same entry to all of them, so that it is decoded once, too. Followers who begin at about the same place read their backlog
// together: after a restart that is all of them. Who is further behind catches up by itself (replay.ts) and joins when nothing lies between what
// it has and what is remembered here. All wait for the slowest, but for {@link PATIENCE_MS} only: then it falls out and catches up by itself.
// With an entry comes the answer to whoever stored it, and who asked for that waits: so what is sent because of the answer goes first, then who
// follows with urgency is given the entry, and once what that sends is on its way, everybody else. Nobody waits longer than two turns of the event
// loop, and who has not taken yet what came before does not wait at all.
// Order, and neither gap nor repeat, are those of the consumer (supervised-consumer.ts); its fault ends every follower.
// Memory: {@link MOST_REMEMBERED} messages twice, and about as many for each follower.
import type { ReplayOptions } from '#libs/ports/event-log.ts';
import { overlaps } from '#libs/topology/subject-overlap.ts';
import type { WriteContext } from './retried-publish.ts';
import { deliveredEntry } from './stored-entry.ts';
import { isWithin } from './subject-filter.ts';
import { type FeedItem, SupervisedConsumer } from './supervised-consumer.ts';
import { type TailMessage, TailReader } from './tail-reader.ts';

/** Messages kept for those who join: what comes in between the last message that a follower reads by itself and its joining. */
const MOST_REMEMBERED = 256;
/**
 * Who is asked and answers shares the connection, and waits for what is on its way to those who follow: no more than they take at once anyway. What comes
 * in larger groups is worked on and written in larger groups, which spares a busy process and the broker 4 % each (64: the processor time of a run).
 */
const CAPACITY = 256;
/** How far apart, in sequences, followers may be who read a backlog together: what one has seen already is read again for the others. */
const NEAR = 4096;
/** How long all wait for one that takes nothing. */
const PATIENCE_MS = 300;

/** The filters that cover both, or undefined when the broker would not take them in one consumer. */
const united = (known: readonly string[], more: readonly string[]): readonly string[] | undefined => {
  const added = more.filter((one) => !known.some((wide) => isWithin(one, wide)));
  const kept = known.filter((one) => !added.some((wide) => isWithin(one, wide)));
  const isPossible = added.every((one) => kept.every((other) => !overlaps(one, other)));
  return isPossible ? [...kept, ...added] : undefined;
};

/** Who follows. */
type Follower = Pick<ReplayOptions, 'signal' | 'isUrgent'>;

export class SharedTail {
  readonly #context: WriteContext;
  readonly #readers = new Set<TailReader>();
  #filters: readonly string[] = [];
  /** The newest messages, all that match `#filters` from `#fromSeq` on. */
  #remembered: TailMessage[] = [];
  #fromSeq = 0;
  #lastSeq = 0;
  /** The end of the stream when this began, once everything up to there has been read; what comes from then on is new. */
  #caughtUpSeq: number | undefined;
  #ending: AbortController | undefined;

  constructor(context: WriteContext) {
    this.#context = context;
  }

  /**
   * For a follower that has read nothing yet: hands out what matches after `afterSeq`, though it be long ago, where the others are about as far;
   * undefined: they are not, so that it has to catch up by itself.
   */
  begin(filters: readonly string[], afterSeq: number, follower: Follower): TailReader | undefined {
    // What other filters select was not read up to here.
    const fromSeq = this.#covers(filters) ? this.#fromSeq : this.#lastSeq + 1;
    const isNear = this.#caughtUpSeq === undefined && afterSeq >= this.#lastSeq - NEAR;
    if (this.#readers.size > 0 && afterSeq + 1 < fromSeq && isNear) this.#rewind(filters, afterSeq);
    return this.join(filters, afterSeq, follower);
  }

  /**
   * Hands out what matches after `afterSeq`; undefined: what comes next is not remembered here, or is still far from here, so that the follower
   * has to read on by itself before it asks again.
   */
  join(
    filters: readonly string[],
    afterSeq: number,
    { signal, isUrgent = false }: Follower,
  ): TailReader | undefined {
    if (this.#readers.size === 0) this.#start(filters, afterSeq);
    else if (this.#caughtUpSeq === undefined && afterSeq > this.#lastSeq + NEAR) return undefined;
    else if (!this.#covers(filters) && !this.#widen(filters)) return undefined;
    if (afterSeq + 1 < this.#fromSeq) return undefined;
    const { connection } = this.#context;
    const calm = async (): Promise<void> => {
      await connection.written();
      if (!isUrgent) await connection.written();
    };
    const reader = new TailReader({ filters, afterSeq, signal, calm }, (left) => this.#forget(left));
    for (const message of this.#remembered) reader.offer(message);
    if (this.#caughtUpSeq !== undefined) reader.caughtUp(this.#caughtUpSeq);
    this.#readers.add(reader);
    return reader;
  }

  #covers(filters: readonly string[]): boolean {
    return filters.every((one) => this.#filters.some((wide) => isWithin(one, wide)));
  }

  #start(filters: readonly string[], afterSeq: number): void {
    this.#ending?.abort();
    this.#filters = filters;
    this.#lastSeq = afterSeq;
    this.#caughtUpSeq = undefined;
    this.#read();
  }

  /** Reads once more from there on, with these filters, too; who has seen some of it is not given it again. */
  #rewind(filters: readonly string[], afterSeq: number): void {
    const wider = united(this.#filters, filters);
    if (wider !== undefined) this.#start(wider, afterSeq);
  }

  /** Goes on with more filters; of what they add, only what comes from now on is known. */
  #widen(filters: readonly string[]): boolean {
    const wider = united(this.#filters, filters);
    if (wider === undefined) return false;
    this.#ending?.abort();
    this.#filters = wider;
    this.#read();
    return true;
  }

  #read(): void {
    this.#remembered = [];
    this.#fromSeq = this.#lastSeq + 1;
    const ending = new AbortController();
    this.#ending = ending;
    void this.#handOut(ending.signal);
  }

  async #handOut(signal: AbortSignal): Promise<void> {
    const { connection, stream } = this.#context;
    const consumer = new SupervisedConsumer({
      connection,
      stream,
      family: 'LOG',
      filters: this.#filters,
      mayAskForMore: { endsAtSeq: Number.POSITIVE_INFINITY },
      start: { seq: this.#fromSeq },
      capacity: CAPACITY,
      onReplaced: 'fault',
      signal,
    });
    try {
      for await (const burst of consumer.bursts()) {
        this.#handBurst(burst, signal);
        await this.#untilRoom(signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      for (const reader of this.#readers) reader.cut({ error });
      this.#readers.clear();
    }
  }

  #handBurst(burst: readonly FeedItem[], signal: AbortSignal): void {
    for (const item of burst) {
      // Another reading has begun where this one was.
      if (signal.aborted) return;
      if (item.kind === 'message') this.#hand(item);
      else if (item.kind === 'caught-up') this.#caughtUp(item.lastSeq);
    }
  }

  #caughtUp(seq: number): void {
    this.#caughtUpSeq = seq;
    for (const reader of this.#readers) reader.caughtUp(seq);
  }

  /** The broker sends no more while a follower has enough before it. */
  async #untilRoom(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context.connection;
    for (const reader of this.#readers) {
      const room = reader.hasRoom(clock, PATIENCE_MS);
      if (room === true || (await room)) continue;
      if (signal.aborted) return;
      this.#readers.delete(reader);
      reader.cut();
    }
  }

  #hand({ message, facts, scanSeq }: TailMessage): void {
    // One entry for all: its headers are read once.
    const item: TailMessage = {
      kind: 'message',
      message,
      facts,
      scanSeq,
      entry: deliveredEntry(message, facts),
    };
    this.#lastSeq = facts.streamSeq;
    this.#remembered.push(item);
    if (this.#remembered.length > 2 * MOST_REMEMBERED) {
      const [last] = this.#remembered.splice(0, MOST_REMEMBERED).slice(-1);
      this.#fromSeq = (last?.facts.streamSeq ?? 0) + 1;
    }
    for (const reader of this.#readers) reader.offer(item);
  }

  #forget(reader: TailReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    this.#ending?.abort();
    this.#remembered = [];
  }
}
