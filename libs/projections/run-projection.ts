// Keeps a bucket equal to the fold of a stream. Exactly-once effect: entries are read in stream order from the position
// that is stored in the bucket itself, every key carries the sequence that it reflects, and what a key has seen is skipped;
// so crashes, redelivery, a second instance and a bucket that lost its tail change nothing in the end.
// Several instances may run: one owns the bucket (its position writes are the fence), the others stand by.
// Memory: two batches of entries and `hotKeys` states. Does not create the bucket, and does not serve reads (read-view.ts).
//
// starting → active    the position was claimed; entries are folded as they come
//          → standby   another instance owns the bucket, a rebuild is switching it, or a newer version has folded it
//          → rebuilding  an older version had folded it (or the log is shorter than the position), and a scratch bucket was given
// active   → standby   fenced: another instance claimed the bucket
//          → starting  the bucket lost its tail: claimed again, folded again from its position
// standby  → starting  entries wait and nobody moves the position, or a rebuild has let go
// any      → stopped   `stop()`: the batch in flight is finished, unless the broker is away
//          → failed    a fault that waiting does not help (bucket or stream missing, log shorter than the position): `onFatal`
import { type Fault, toFault } from '#libs/kernel/fault.ts';
import type { DeadLetters } from '#libs/consumers/dead-letters.ts';
import { backoffDelayMs } from '#libs/consumers/backoff.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { ActiveProjection } from './active-projection.ts';
import { claimProjection } from './claim.ts';
import type { Poison } from './fold.ts';
import {
  PROJECTION_DEFAULTS,
  type ProjectionEvent,
  type ProjectionLimits,
  type ProjectionParts,
  untilReachable,
} from './parts.ts';
import type { Projection } from './projection.ts';
import { rebuildProjection } from './rebuild.ts';
import { standByForBucket } from './standby.ts';

export interface RunProjectionOptions<Event, State extends object> {
  readonly projection: Projection<Event, State>;
  /** The stream of the projection. */
  readonly log: EventLog;
  /** The bucket of the projection. */
  readonly kv: KeyValue;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Stores the evidence of an entry that cannot be folded; see {@link parkPoison}. The entry is then skipped. */
  readonly onPoison: (poison: Poison) => Promise<void>;
  /** An empty bucket beside the live one; when given, a bucket that was folded by an older version, or from a longer log, is rebuilt at the start. */
  readonly scratch?: KeyValue;
  readonly limits?: Partial<ProjectionLimits>;
  readonly observe?: (event: ProjectionEvent) => void;
  /** A fault that waiting does not help. Called once. */
  readonly onFatal: (error: unknown) => void;
}

type ProjectionState = 'starting' | 'active' | 'standby' | 'rebuilding' | 'stopping' | 'stopped' | 'failed';

export interface RunningProjection {
  readonly name: string;
  state(): ProjectionState;
  /** The position that this instance stored last; 0 while it has none. */
  position(): number;
  /** Resolves when this instance has stored a position of at least `seq`, or when it is stopped or failed. */
  reached(seq: number): Promise<void>;
  /** Finishes the batch in flight and stores its position. Repeatable; never rejects. */
  stop(): Promise<void>;
  readonly finished: Promise<void>;
}

/** Parks poison as dead letters of the projection's service. */
export const parkPoison =
  (
    deadLetters: DeadLetters,
    origin: {
      readonly projection: string;
      readonly stream: string;
      readonly service: string;
      readonly clock: Clock;
    },
  ): ((poison: Poison) => Promise<void>) =>
  async ({ entry, stage, error }) => {
    const { code, message } = toFault(error);
    await deadLetters.park({
      reason: stage === 'decode' ? 'undecodable' : 'refused-for-good',
      code,
      message,
      stream: origin.stream,
      consumer: origin.projection,
      service: origin.service,
      attempts: 1,
      parkedAt: origin.clock.now(),
      entry,
    });
  };

class Runner<Event, State extends object> implements RunningProjection {
  readonly name: string;
  readonly finished: Promise<void>;
  readonly #options: RunProjectionOptions<Event, State>;
  readonly #parts: ProjectionParts<Event, State>;
  readonly #stopped = new AbortController();
  #state: ProjectionState = 'starting';
  #position = 0;
  #waiters: { readonly seq: number; readonly resolve: () => void }[] = [];

  constructor(options: RunProjectionOptions<Event, State>) {
    this.name = options.projection.name;
    this.#options = options;
    this.#parts = {
      projection: options.projection,
      log: options.log,
      kv: options.kv,
      clock: options.clock,
      ids: options.ids,
      owner: options.ids.ulid(),
      limits: { ...PROJECTION_DEFAULTS, ...options.limits },
      observe: (event) => this.#observe(event),
      onPoison: options.onPoison,
      signal: this.#stopped.signal,
    };
    this.finished = this.#run();
  }

  state(): ProjectionState {
    return this.#state;
  }

  position(): number {
    return this.#position;
  }

  reached(seq: number): Promise<void> {
    if (this.#position >= seq || this.#state === 'stopped' || this.#state === 'failed')
      return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ seq, resolve });
    });
  }

  stop(): Promise<void> {
    if (this.#state !== 'stopped' && this.#state !== 'failed') this.#state = 'stopping';
    this.#stopped.abort();
    return this.finished;
  }

  #observe(event: ProjectionEvent): void {
    if (event.kind === 'position') this.#moved(event.seq);
    this.#options.observe?.(event);
  }

  #moved(seq: number): void {
    this.#position = seq;
    const reached = this.#waiters.filter((waiter) => waiter.seq <= seq);
    if (reached.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > seq);
    for (const { resolve } of reached) resolve();
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped.signal.aborted) {
      try {
        await this.#turn();
        failures = 0;
      } catch (error) {
        const fault = toFault(error);
        if (this.#stopped.signal.aborted) break;
        if (!(fault.retry === 'later' && fault.code !== 'UNEXPECTED_ERROR')) return this.#fail(error);
        failures += 1;
        await this.#pause(fault, failures);
      }
    }
    this.#end('stopped');
  }

  async #pause(fault: Fault, failures: number): Promise<void> {
    const { limits, ids, clock, signal } = this.#parts;
    const waitMs = backoffDelayMs(limits.backoff, failures, ids.random());
    this.#parts.observe({ kind: 'interrupted', fault, waitMs });
    await clock.sleep(waitMs, signal);
  }

  /** From one claim to the loss of what was claimed. */
  async #turn(): Promise<void> {
    const { observe } = this.#parts;
    this.#become('starting');
    const claim = await untilReachable(this.#parts, () => claimProjection(this.#parts));
    if (claim.kind === 'rebuild-needed') return this.#rebuild(claim.fault);
    if (claim.kind === 'refused') return this.#standBy(claim.reason);
    this.#become('active');
    observe({ kind: 'active', fromSeq: claim.seq });
    this.#moved(claim.seq);
    const active = new ActiveProjection(this.#parts, claim);
    const end = await active.run();
    if (end === 'lost') observe({ kind: 'lost-tail', seq: active.savedSeq });
    if (end === 'fenced') await this.#standBy('fenced');
  }

  async #standBy(reason: 'fenced' | 'outdated' | 'rebuilding'): Promise<void> {
    this.#become('standby');
    this.#parts.observe({ kind: 'standby', reason });
    await standByForBucket(this.#parts);
  }

  async #rebuild(fault: Fault): Promise<void> {
    const { projection, log, kv, clock, ids, signal } = this.#parts;
    const { scratch } = this.#options;
    if (scratch === undefined) throw fault;
    this.#become('rebuilding');
    this.#parts.observe({ kind: 'rebuilding', why: fault });
    const report = await rebuildProjection({ projection, log, live: kv, scratch, clock, ids, signal });
    this.#parts.observe({ kind: 'rebuilt', seq: report.seq, keys: report.keys, written: report.written });
  }

  #become(state: ProjectionState): void {
    if (this.#state !== 'stopping') this.#state = state;
  }

  #fail(error: unknown): void {
    this.#end('failed');
    this.#options.onFatal(error);
  }

  #end(state: 'stopped' | 'failed'): void {
    this.#state = state;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }
}

/** Starts folding at once. Throws nothing: what cannot be waited out goes to `onFatal`. */
export const runProjection = <Event, State extends object>(
  options: RunProjectionOptions<Event, State>,
): RunningProjection => new Runner(options);
