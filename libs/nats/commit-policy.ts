// When is one atomic batch cheaper than sending the same appends one by one? Depends on how the broker syncs, which it does
// not tell, so it is learned: pipelined singles cost 10 µs each without syncs and 300 µs with one sync each; a batch costs
// about 3 ms plus 25 µs an entry on one server with file storage. Pure arithmetic over what it is shown.
// A process that is busy reads its answers late: singles then look as dear as if each was synced, and a batch costs the broker a third more
// without being any faster. So what is measured counts only where this process had to wait for it; one that never waits goes on as it did.
import type { Clock } from '#libs/ports/clock.ts';

/** `auto` learns; `always` batches from {@link MIN_BATCH} waiting entries on; `never` sends singles only. */
export type GroupCommitMode = 'auto' | 'always' | 'never';

/** Below this many, singles win on every profile measured. */
const MIN_BATCH = 8;
/** Most entries of one batch; the broker's own limit. */
export const MAX_BATCH = 1_000;
/** Most singles that are sent in order to learn their cost again: so many that one round trip does not show in it. */
export const PROBE_SIZE = 64;

const SAMPLE_ACKS = 16;
/** Answers come in bursts, the burstier the busier the machine: a sample is longer than what lies between two. */
const SAMPLE_MS = 4;
const WEIGHT = 0.25;
const BATCH_ENTRY_MS = 0.025;
const BATCH_FIXED_PRIOR_MS = 3;
const BATCH_FIXED_MIN_MS = 0.1;
/**
 * Batches after which the cost of singles is looked at again: soon after the first ones, in case a busy moment was taken for
 * that cost, then each time after twice as many, for ever: profiles change when a broker is restarted.
 */
const PROBE_FIRST = 8;
const PROBE_LAST = 256;
/** A pause of this process or of the machine must not look like a dear append or batch: one sample raises a cost by a quarter at most. */
const MOST_RISE = 2;
/** Of the time of a sample, what this process has to have spent waiting. */
const LEAST_WAIT = 0.05;
/** What a batch cost once is forgotten bit by bit while none is sent: nothing else would ever tell that they are cheap again. */
const FORGOTTEN = 0.05;

/** A moment of this process, ms of its clocks. */
export interface Moment {
  readonly ms: number;
  /** How long it has had nothing to do but wait. */
  readonly idleMs: number;
}

const START: Moment = { ms: 0, idleMs: 0 };

export class CommitPolicy {
  readonly #mode: GroupCommitMode;
  readonly #clock: Pick<Clock, 'monotonicMs' | 'idleMs'>;
  #singleMs: number | undefined;
  #batchFixedMs = BATCH_FIXED_PRIOR_MS;
  #windowStart = START;
  #windowAcks = -1;
  #probeSize = 0;
  #probeAcksLeft = 0;
  #batchesSinceProbe = 0;
  #probeEvery = PROBE_FIRST;
  #threshold: number;

  constructor(mode: GroupCommitMode, clock: Pick<Clock, 'monotonicMs' | 'idleMs'>) {
    this.#mode = mode;
    this.#clock = clock;
    this.#threshold = mode === 'always' ? MIN_BATCH : Number.POSITIVE_INFINITY;
  }

  /** From this many entries on that are to be stored now, a batch is cheaper. */
  get threshold(): number {
    return this.#threshold;
  }

  /** Whether anything is known of what singles cost. */
  get isSure(): boolean {
    return this.#mode !== 'auto' || this.#singleMs !== undefined;
  }

  /** Whether it is time to send up to {@link PROBE_SIZE} singles in order to see what they cost now. */
  get wantsProbe(): boolean {
    return this.#mode === 'auto' && this.#batchesSinceProbe >= this.#probeEvery;
  }

  /** Now. A clock that cannot tell what was waited for says that everything was. */
  now(): Moment {
    const ms = this.#clock.monotonicMs();
    return { ms, idleMs: this.#clock.idleMs?.() ?? ms };
  }

  /** `count` singles are being sent for a probe; their acknowledgements come next. */
  beginProbe(count: number): void {
    this.#probeSize = count;
    this.#probeAcksLeft = count;
    this.#windowStart = this.now();
    if (this.#threshold !== Number.POSITIVE_INFINITY)
      this.#probeEvery = Math.min(PROBE_LAST, this.#probeEvery * 2);
    this.#batchesSinceProbe = 0;
  }

  /** An append sent alone was acknowledged, while `inFlight` (itself included) had none. Only a full pipe tells the cost. */
  observeSingle(inFlight: number): void {
    if (this.#probeAcksLeft > 0) return this.#observeProbe();
    if (inFlight < MIN_BATCH) {
      this.#windowAcks = -1;
      return;
    }
    if (this.#windowAcks < 0) {
      this.#windowAcks = 0;
      this.#windowStart = this.now();
      return;
    }
    this.#windowAcks += 1;
    if (this.#windowAcks < SAMPLE_ACKS) return;
    if (this.#clock.monotonicMs() - this.#windowStart.ms >= SAMPLE_MS)
      this.#sample(this.#windowStart, this.#windowAcks);
  }

  #observeProbe(): void {
    this.#probeAcksLeft -= 1;
    this.#windowAcks = -1;
    if (this.#probeAcksLeft === 0 && this.#probeSize >= SAMPLE_ACKS)
      this.#sample(this.#windowStart, this.#probeSize);
  }

  /**
   * So many singles that were sent at once at `from` have all been acknowledged now: to be compared with a batch whatever else this process
   * does meanwhile, where the acknowledgements that a busy one reads in a burst tell of its reading only.
   */
  observeSingles(from: Moment, count: number): void {
    this.#batchesSinceProbe = 0;
    if (this.#threshold !== Number.POSITIVE_INFINITY)
      this.#probeEvery = Math.min(PROBE_LAST, this.#probeEvery * 2);
    this.#sample(from, count);
  }

  /** A batch of `entries` took this long from its sending to its acknowledgement. */
  observeBatch(durationMs: number, entries: number): void {
    this.#batchesSinceProbe += 1;
    // Acknowledgements on both sides of a batch say nothing about the pace of singles.
    this.#windowAcks = -1;
    const fixedMs = Math.max(BATCH_FIXED_MIN_MS, durationMs - entries * BATCH_ENTRY_MS);
    this.#batchFixedMs = adjusted(this.#batchFixedMs, fixedMs);
    this.#learn();
  }

  /** So many singles were acknowledged since then. */
  #sample(from: Moment, count: number): void {
    this.#windowAcks = -1;
    const { ms, idleMs } = this.now();
    const elapsedMs = ms - from.ms;
    if (idleMs - from.idleMs < LEAST_WAIT * elapsedMs) return;
    const costMs = elapsedMs / count;
    this.#singleMs = adjusted(this.#singleMs ?? costMs, costMs);
    const usualMs = Math.min(this.#batchFixedMs, BATCH_FIXED_PRIOR_MS);
    this.#batchFixedMs = blend(this.#batchFixedMs, usualMs, FORGOTTEN);
    this.#learn();
    if (this.#threshold === Number.POSITIVE_INFINITY) this.#probeEvery = PROBE_FIRST;
  }

  #learn(): void {
    if (this.#mode !== 'auto' || this.#singleMs === undefined) return;
    const gainMs = this.#singleMs - BATCH_ENTRY_MS;
    const breakEven = gainMs <= 0 ? Number.POSITIVE_INFINITY : this.#batchFixedMs / gainMs;
    this.#threshold =
      breakEven > MAX_BATCH ? Number.POSITIVE_INFINITY : Math.max(MIN_BATCH, Math.ceil(breakEven));
  }
}

const blend = (before: number, now: number, weight: number): number => before * (1 - weight) + now * weight;

/** A known cost after one more sample. Noise only ever makes things look dearer: what is cheaper than known counts more. */
const adjusted = (known: number, sample: number): number =>
  sample < known
    ? blend(known, sample, 2 * WEIGHT)
    : blend(known, Math.min(sample, known * MOST_RISE), WEIGHT);
