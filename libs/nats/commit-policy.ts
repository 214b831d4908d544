// When is one atomic batch cheaper than sending the same appends one by one? Depends on how the broker syncs, which it does
// not tell, so it is learned: pipelined singles cost 10 µs each without syncs and 300 µs with one sync each; a batch costs
// about 3 ms plus 25 µs an entry on one server with file storage. Pure arithmetic over what it is shown.

/** `auto` learns; `always` batches from {@link MIN_BATCH} waiting entries on; `never` sends singles only. */
export type GroupCommitMode = 'auto' | 'always' | 'never';

/** Below this many, singles win on every profile measured. */
const MIN_BATCH = 8;
/** Most entries of one batch; the broker's own limit. */
export const MAX_BATCH = 1_000;
/** How many singles it takes to learn their cost again. */
export const PROBE_SIZE = 24;

const SAMPLE_ACKS = 16;
const WEIGHT = 0.25;
const BATCH_ENTRY_MS = 0.025;
const BATCH_FIXED_PRIOR_MS = 3;
const BATCH_FIXED_MIN_MS = 0.1;
/** Batches after which the cost of singles is looked at again: profiles change when a broker is restarted. */
const PROBE_EVERY = 256;

export class CommitPolicy {
  readonly #mode: GroupCommitMode;
  #singleMs: number | undefined;
  #batchFixedMs = BATCH_FIXED_PRIOR_MS;
  #windowStartMs = 0;
  #windowAcks = -1;
  #batchesSinceProbe = 0;
  #threshold: number;

  constructor(mode: GroupCommitMode) {
    this.#mode = mode;
    this.#threshold = mode === 'always' ? MIN_BATCH : Number.POSITIVE_INFINITY;
  }

  /** From this many entries on that are to be stored now, a batch is cheaper. */
  get threshold(): number {
    return this.#threshold;
  }

  /** Whether it is time to send {@link PROBE_SIZE} singles in order to see what they cost now. */
  get wantsProbe(): boolean {
    return this.#mode === 'auto' && this.#batchesSinceProbe >= PROBE_EVERY;
  }

  /** An append sent alone was acknowledged, while `inFlight` (itself included) had none. Only a full pipe tells the cost. */
  observeSingle(nowMs: number, inFlight: number): void {
    if (inFlight < MIN_BATCH) {
      this.#windowAcks = -1;
      return;
    }
    if (this.#windowAcks < 0) {
      this.#windowAcks = 0;
      this.#windowStartMs = nowMs;
      return;
    }
    this.#windowAcks += 1;
    if (this.#windowAcks < SAMPLE_ACKS) return;
    this.#singleMs = blend(this.#singleMs, (nowMs - this.#windowStartMs) / this.#windowAcks);
    this.#windowAcks = -1;
    this.#batchesSinceProbe = 0;
    this.#learn();
  }

  /** A batch of `entries` took this long from its sending to its acknowledgement. */
  observeBatch(durationMs: number, entries: number): void {
    this.#batchesSinceProbe += 1;
    const fixedMs = Math.max(BATCH_FIXED_MIN_MS, durationMs - entries * BATCH_ENTRY_MS);
    this.#batchFixedMs = blend(this.#batchFixedMs, fixedMs);
    this.#learn();
  }

  #learn(): void {
    if (this.#mode !== 'auto' || this.#singleMs === undefined) return;
    const gainMs = this.#singleMs - BATCH_ENTRY_MS;
    const breakEven = gainMs <= 0 ? Number.POSITIVE_INFINITY : this.#batchFixedMs / gainMs;
    this.#threshold =
      breakEven > MAX_BATCH ? Number.POSITIVE_INFINITY : Math.max(MIN_BATCH, Math.ceil(breakEven));
  }
}

const blend = (before: number | undefined, now: number): number =>
  before === undefined ? now : before * (1 - WEIGHT) + now * WEIGHT;
