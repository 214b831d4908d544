// Messages of a stream in stream order, without gap or repeat, over broker restarts and the loss of cluster nodes: an
// ephemeral consumer that is replaced, from the last message seen on, whenever it falls silent, is gone, skips, or the
// connection was lost. Under both the watch of a bucket and the replay of a log. Notices when the stream itself was replaced.
//
// States: opening → flowing → (trouble) → opening …, and ended or failed from anywhere.
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Msg } from '@nats-io/transport-node';
import { nuid } from '@nats-io/transport-node';
import {
  type ConsumerStart,
  createEphemeral,
  deleteEphemeral,
  type EphemeralParts,
  type OpenedConsumer,
  pendingOf,
} from './ephemeral-consumer.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { type FaultFamily, portFault, thrownFault } from './errors.ts';
import { PullFeed } from './pull-feed.ts';
import { type DeliveryFacts, deliveryFacts, subjectBytes } from './raw-message.ts';
import type { Patience } from './broker-api.ts';
import { BurstBuffer } from './burst-buffer.ts';
import { StreamIdentity } from './stream-identity.ts';
import { byteTest, joinedFilters, subjectPattern } from './subject-filter.ts';

/**
 * `caught-up`: all that matched when the consumer was (re)opened has been delivered; `lastSeq` is the stream's last sequence
 * then, `isScan` whether it ends an initial scan. `rescan`: the stream was replaced, everything comes again.
 */
export type FeedItem =
  | {
      readonly kind: 'message';
      readonly message: Msg;
      readonly facts: DeliveryFacts;
      /** The stream's last sequence before delivery began (not before it went on after a trouble). */
      readonly scanSeq: number;
      /** The message as an entry, where several share it. */
      readonly entry?: StoredEntry;
    }
  | { readonly kind: 'caught-up'; readonly lastSeq: number; readonly isScan: boolean }
  | { readonly kind: 'rescan' };

export interface SupervisedOptions {
  readonly connection: NatsConnectionHandle;
  readonly stream: string;
  readonly family: FaultFamily;
  readonly filters: readonly string[];
  /**
   * May ask the broker for more than the filters select, where that is cheaper for it; only what they select is handed out, and what lies beyond
   * `endsAtSeq`: whoever reads up to there sees by it that all has come.
   */
  readonly mayAskForMore?: { readonly endsAtSeq?: number; readonly filter?: string };
  readonly start: ConsumerStart;
  /** Most messages in memory. */
  readonly capacity: number;
  /** Most bytes of them; nothing is on its way while there are any. Absent: no limit of its own. */
  readonly aheadBytes?: number;
  /** What to do when the stream was deleted and made anew, or has lost its end: throw, or deliver the present state again. */
  readonly onReplaced: 'fault' | 'rescan';
  /** How long to try to reopen. Absent: for ever. */
  readonly patience?: Patience;
  /** Watch for the stream's growth beyond what matches: `caught-up` is repeated while idle. */
  readonly reportsIdle?: boolean;
  readonly headersOnly?: boolean;
  /** What comes may be late by so much, and comes together. Absent: as soon as it can. */
  readonly everyMs?: number;
  readonly signal?: AbortSignal;
}

const EXPIRES_MS = 30_000;
const REOPEN_MS = 100;
const MAX_PULL_BYTES = 8 * 1024 * 1024;

const askedFilters = ({ filters, mayAskForMore }: SupervisedOptions): readonly string[] => {
  if (mayAskForMore === undefined || filters.length < 2) return filters;
  return mayAskForMore.filter === undefined ? joinedFilters(filters) : [mayAskForMore.filter];
};

/** Whether a message is of a subject that is wanted: by its bytes where that can be, since its text is made when it is looked at. */
const subjectTest = (filters: readonly string[]): ((message: Msg) => boolean) => {
  const isOf = byteTest(filters);
  const pattern = subjectPattern(filters);
  return (message) => {
    const bytes = isOf === undefined ? undefined : subjectBytes(message);
    return bytes === undefined || isOf === undefined ? pattern.test(message.subject) : isOf(bytes);
  };
};

export class SupervisedConsumer {
  readonly #options: SupervisedOptions;
  readonly #parts: EphemeralParts;
  /** What is handed out of all that comes; undefined: everything. */
  readonly #wanted: ((message: Msg) => boolean) | undefined;
  readonly #items = new BurstBuffer<FeedItem>();
  readonly #identity = new StreamIdentity();
  #failure: Fault | undefined;
  /** Aborts what is under way when the reader leaves, with or without the caller's signal. */
  readonly #over = new AbortController();
  #feed: PullFeed | undefined;
  #name = '';
  #start: ConsumerStart;
  #isScanning: boolean;
  #lastSeq = 0;
  #consumerSeq = 0;
  #toCatchUp = 0;
  #isCaughtUp = false;
  #isAsking = false;
  #streamLastSeq = 0;
  #scanSeq = 0;
  #reportTrouble: (() => void) | undefined;

  constructor(options: SupervisedOptions) {
    this.#options = options;
    const asked = askedFilters(options);
    this.#wanted = asked === options.filters ? undefined : subjectTest(options.filters);
    this.#parts = { ...options, filters: asked, signal: this.#over.signal };
    this.#start = options.start;
    this.#isScanning = 'lastPerSubject' in options.start;
    if ('seq' in options.start && options.onReplaced === 'rescan') this.#lastSeq = options.start.seq - 1;
  }

  /** Items in bursts, as they came. Ends when `signal` aborts; throws the fault that ended it otherwise. To be called once. */
  async *bursts(): AsyncGenerator<readonly FeedItem[]> {
    const { signal } = this.#options;
    const end = (): void => this.#end();
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted === true) this.#end();
    const supervision = this.#supervise();
    try {
      while (!this.#isEnded) {
        const burst = this.#items.take();
        if (burst.length > 0) {
          yield burst;
          this.#feed?.release(burst.length);
        } else if (this.#failure !== undefined) throw this.#failure;
        else await this.#items.wait();
      }
    } finally {
      signal?.removeEventListener('abort', end);
      this.#end();
      await supervision;
    }
  }

  async #supervise(): Promise<void> {
    const { connection, family } = this.#options;
    try {
      while (!this.#isEnded) {
        await this.#flow();
        this.#closeFeed();
        if (!this.#isEnded) await connection.clock.sleep(REOPEN_MS, this.#over.signal);
      }
    } catch (error) {
      this.#failure = thrownFault(family, `consumer of stream ${this.#options.stream}`, error);
      this.#items.rouse();
    } finally {
      this.#closeFeed();
    }
  }

  /** Opens a consumer where the last one stopped. Resolves at its first trouble. */
  async #flow(): Promise<void> {
    const opened = await this.#create();
    if (opened === undefined || this.#isEnded) return;
    let report = (): void => {};
    const trouble = new Promise<void>((resolve) => (report = resolve));
    this.#reportTrouble = report;
    this.#consumerSeq = 0;
    this.#isCaughtUp = false;
    this.#toCatchUp = opened.pending;
    if (opened.pending === 0) this.#caughtUp(this.#streamLastSeq);
    const forget = this.#options.connection.onConnectivity((isConnected) => {
      if (!isConnected) report();
    });
    this.#feed = this.#createFeed(report);
    this.#feed.start();
    if (!this.#options.connection.connected) report();
    await trouble;
    forget();
  }

  #createFeed(onTrouble: () => void): PullFeed {
    const { connection, stream, capacity, everyMs, aheadBytes } = this.#options;
    return new PullFeed({
      ...(everyMs !== undefined && { everyMs }),
      connection,
      stream,
      consumer: this.#name,
      capacity,
      maxBytes: aheadBytes ?? MAX_PULL_BYTES,
      isStepwise: aheadBytes !== undefined,
      isWaiting: () => this.#isOfInterest,
      expiresMs: EXPIRES_MS,
      onMessage: (message) => this.#receive(message),
      onTrouble,
      onIdle: () => void this.#lookWhenIdle(),
    });
  }

  /** Creates a consumer that goes on after the last message; undefined when the reader has left meanwhile. */
  async #create(): Promise<OpenedConsumer | undefined> {
    const { connection, patience } = this.#options;
    const { signal } = this.#over;
    const deadline = connection.clock.monotonicMs() + (patience?.withinMs ?? Number.POSITIVE_INFINITY);
    while (!this.#isEnded) {
      try {
        const opened = await this.#tryCreate();
        if (opened !== undefined) return opened;
      } catch (error) {
        const isHopeless = !(error instanceof Fault) || error.retry !== 'later' || connection.isClosed;
        if (isHopeless || connection.clock.monotonicMs() >= deadline) throw error;
        await connection.whenConnected({ signal });
      }
      await connection.clock.sleep(REOPEN_MS, signal);
    }
    return undefined;
  }

  /** Undefined: not clear yet whether this is still the same stream. */
  async #tryCreate(): Promise<OpenedConsumer | undefined> {
    const name = `fl-${nuid.next()}`;
    const opened = await createEphemeral(this.#parts, name, this.#resumeFrom());
    const { lastSeq } = opened.stream;
    const verdict = this.#identity.check(opened.stream, this.#lastSeq);
    if (verdict === 'same') {
      this.#name = name;
      this.#streamLastSeq = lastSeq;
      if (this.#lastSeq === 0) this.#scanSeq = lastSeq;
      return opened;
    }
    deleteEphemeral(this.#parts, name);
    if (verdict === 'unclear') return undefined;
    this.#onReplaced(lastSeq);
    return this.#tryCreate();
  }

  #onReplaced(lastSeq: number): void {
    const { family, stream, onReplaced } = this.#options;
    if (onReplaced === 'fault')
      throw portFault(
        family,
        'MISSING',
        `stream ${stream} was replaced or has lost its end (last sequence ${lastSeq}, read up to ${this.#lastSeq})`,
      );
    this.#lastSeq = 0;
    this.#start = { lastPerSubject: true };
    this.#isScanning = true;
    this.#items.add({ kind: 'rescan' });
  }

  #resumeFrom(): ConsumerStart {
    return this.#lastSeq > 0 ? { seq: this.#lastSeq + 1 } : this.#start;
  }

  #receive(message: Msg): void {
    const facts = deliveryFacts(message);
    if (facts === undefined || this.#isEnded) return;
    if (facts.consumerSeq !== this.#consumerSeq + 1) return this.#reportTrouble?.();
    this.#consumerSeq = facts.consumerSeq;
    this.#lastSeq = facts.streamSeq;
    if (this.#isWanted(message, facts))
      this.#items.add({ kind: 'message', message, facts, scanSeq: this.#scanSeq });
    else this.#feed?.release(1);
    if (!this.#isCaughtUp && (facts.pending === 0 || facts.consumerSeq >= this.#toCatchUp))
      this.#caughtUp(this.#streamLastSeq);
  }

  #isWanted(message: Msg, { streamSeq }: DeliveryFacts): boolean {
    if (this.#wanted === undefined || this.#wanted(message)) return true;
    return streamSeq > (this.#options.mayAskForMore?.endsAtSeq ?? Number.POSITIVE_INFINITY);
  }

  #caughtUp(lastSeq: number): void {
    this.#isCaughtUp = true;
    this.#items.add({ kind: 'caught-up', lastSeq, isScan: this.#isScanning });
    this.#isScanning = false;
  }

  /** What was to be delivered may have been removed meanwhile: then nothing comes that could tell that this was all. */
  async #lookWhenIdle(): Promise<void> {
    if (!this.#isOfInterest || this.#isAsking || this.#isEnded) return;
    this.#isAsking = true;
    try {
      const name = this.#name;
      const seen = this.#consumerSeq;
      const { pending, lastSeq } = await pendingOf(this.#parts, name);
      if (pending === 0 && name === this.#name && seen === this.#consumerSeq) this.#caughtUp(lastSeq);
    } catch {
      // Asked again at the next heartbeat, or the consumer is replaced.
    } finally {
      this.#isAsking = false;
    }
  }

  /** Whether that nothing comes says something. */
  get #isOfInterest(): boolean {
    return !this.#isCaughtUp || this.#options.reportsIdle === true;
  }

  #closeFeed(): void {
    this.#reportTrouble = undefined;
    if (this.#feed === undefined) return;
    this.#feed.stop();
    this.#feed = undefined;
    deleteEphemeral(this.#parts, this.#name);
  }

  get #isEnded(): boolean {
    return this.#over.signal.aborted;
  }

  #end(): void {
    this.#over.abort();
    this.#reportTrouble?.();
    this.#items.rouse();
  }
}
