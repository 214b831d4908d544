// The owner's loop: follows the log from the claimed position, takes what has arrived (one entry when idle, up to a full
// batch under load: whatever came while the last batch was being written), folds and stores it. Ends when it is told to
// stop, when another instance owns the bucket, or when the bucket lost its tail; then nothing of it is used again.
import { untilSharedMomentMs } from '#libs/ports/clock.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { BatchWriter, type Hold } from './batch-writer.ts';
import { type Change, readEntry } from './fold.ts';
import { HotKeys } from './hot-keys.ts';
import { Intake } from './intake.ts';
import { KeyLoader } from './key-loader.ts';
import type { ProjectionParts } from './parts.ts';

/** Of what is older the key may be there, from before a crash: that costs a conflict, and many would cost much. */
const NEW_MS = 5000;
/** Types of newer versions that are told of. */
const MOST_NEWER_TYPES = 100;

export type ActiveEnd = 'stopped' | Exclude<Hold, 'held'>;

/** A last sequence for a run that ends by itself (a rebuild); undefined: follow for ever. */
export interface ActiveRange {
  readonly toSeq?: number;
}

export class ActiveProjection<Event, State extends object> {
  readonly #parts: ProjectionParts<Event, State>;
  readonly #writer: BatchWriter<Event, State>;
  readonly #loader: KeyLoader<Event, State>;
  readonly #intake: Intake<Event>;
  readonly #newerTypes = new Set<string>();
  readonly #source = new AbortController();
  readonly #endSource = (): void => this.#source.abort();

  constructor(
    parts: ProjectionParts<Event, State>,
    claimed: { readonly seq: number; readonly revision: number },
    range: ActiveRange = {},
  ) {
    this.#parts = parts;
    const { projection, limits } = parts;
    const hot = new HotKeys<State>(Math.max(limits.hotKeys, 4 * limits.maxBatch));
    this.#loader = new KeyLoader(parts, hot, claimed);
    this.#writer = new BatchWriter(parts, { hot, loader: this.#loader }, claimed);
    this.#intake = new Intake({
      source: this.#open(claimed.seq + 1, range),
      read: (entry) => readEntry(projection, entry),
      capacity: 2 * limits.maxBatch,
      onArrival: (reading) => {
        if (reading.kind === 'change') this.#prepare(reading);
        else if (reading.kind === 'nothing' && reading.newerType !== undefined)
          this.#tellNewer(reading.newerType, reading.entry);
      },
    });
  }

  get savedSeq(): number {
    return this.#writer.savedSeq;
  }

  /** Runs until one of its ends. Throws faults that waiting does not help. */
  async run(): Promise<ActiveEnd> {
    const { signal } = this.#parts;
    const nudge = (): void => this.#intake.nudge();
    signal.addEventListener('abort', nudge, { once: true });
    try {
      const end = await this.#loop(signal);
      if (end === 'stopped') await this.#writer.release();
      return end;
    } finally {
      signal.removeEventListener('abort', nudge);
      signal.removeEventListener('abort', this.#endSource);
      this.#source.abort();
      this.#intake.close();
      await this.#intake.ended;
    }
  }

  /** Brings the key of what has come; what has begun just now is nowhere yet. */
  #prepare({ key, event, entry }: Change<Event>): void {
    const { projection, clock } = this.#parts;
    const isNew = projection.begins?.(event) === true && clock.now() - entry.storedAt < NEW_MS;
    if (isNew) this.#loader.begin(key);
    else this.#loader.want(key);
  }

  #open(fromSeq: number, { toSeq }: ActiveRange): AsyncIterable<readonly StoredEntry[]> {
    const { log, projection, signal } = this.#parts;
    signal.addEventListener('abort', this.#endSource, { once: true });
    if (signal.aborted) this.#source.abort();
    const { subjects } = projection;
    const range = toSeq === undefined ? { follow: true, isShared: true } : { toSeq };
    return log.replayTogether({ from: { seq: fromSeq }, subjects, ...range, signal: this.#source.signal });
  }

  async #loop(signal: AbortSignal): Promise<ActiveEnd> {
    for (;;) {
      const isIdle = await this.#idle();
      const taken = signal.aborted ? [] : this.#intake.take(this.#parts.limits.maxBatch);
      let hold: Hold = 'held';
      if (taken.length > 0) {
        hold = await this.#writer.write(taken);
        this.#loader.takenSeq = taken.at(-1)?.entry.seq ?? this.#loader.takenSeq;
      } else if (isIdle && !signal.aborted) hold = await this.#writer.check();
      const restsUntilMs = this.#restsUntilMs(taken.length);
      if (hold === 'held' && (await this.#isLull(signal))) hold = await this.#writer.savePosition();
      if (hold !== 'held') return hold;
      if (!this.#isOpen(signal)) return 'stopped';
      await this.#rest(restsUntilMs);
    }
  }

  /** With nothing waiting, and nothing coming for a while, the position is worth a write of its own: readers wait for it. */
  async #isLull(signal: AbortSignal): Promise<boolean> {
    const { clock, limits } = this.#parts;
    if (limits.positionMs > 0 && this.#writer.isAhead && this.#isOpen(signal)) {
      const cancel = clock.timer(limits.positionMs, () => this.#intake.nudge());
      await this.#intake.arrival();
      cancel();
    }
    return this.#intake.size === 0 || signal.aborted;
  }

  /** More may come. */
  #isOpen(signal: AbortSignal): boolean {
    return !signal.aborted && !this.#intake.isOver;
  }

  /** Until when entries gather after a batch of so many that ends now. */
  #restsUntilMs(taken: number): number {
    const { clock, limits } = this.#parts;
    const restMs = Math.max(limits.paceMs, taken >= limits.burstEntries ? limits.gatherMs : 0);
    return clock.monotonicMs() + restMs;
  }

  /** Lets entries gather until there are plenty. */
  async #rest(untilMs: number): Promise<void> {
    const { clock, limits } = this.#parts;
    const restMs = untilMs - clock.monotonicMs();
    if (restMs <= 0) return;
    const cancel = clock.timer(restMs, () => this.#intake.nudge());
    await this.#intake.arrival(limits.maxBatch);
    cancel();
  }

  /** Once for each type: a newer version that runs beside this one may write many. */
  #tellNewer(type: string, entry: StoredEntry): void {
    if (this.#newerTypes.has(type) || this.#newerTypes.size >= MOST_NEWER_TYPES) return;
    this.#newerTypes.add(type);
    this.#parts.observe({ kind: 'newer', type, entry });
  }

  /** Waits for entries; true when none came for a while. */
  async #idle(): Promise<boolean> {
    if (this.#intake.size > 0 || this.#parts.signal.aborted) return false;
    let isIdle = false;
    const { clock, limits } = this.#parts;
    const cancel = clock.timer(untilSharedMomentMs(clock, limits.idleCheckMs), () => {
      isIdle = true;
      this.#intake.nudge();
    });
    await this.#intake.arrival();
    cancel();
    return isIdle;
  }
}
