// Writes a batch: folds each changed key once, puts all changed keys at their expected revisions, and the position after
// the keys that it covers. The position of one batch travels with the keys of the next, when that is due. A conflict is settled by
// reading back: an own write whose answer was lost is adopted, another writer's is folded onto, a bucket that went back
// (the broker lost its tail) or another owner ends the batch. Does not decide what happens then (see run-projection.ts).
// Known limit: when a bucket loses its tail while two instances contend for it, revision numbers that are used twice can hide
// the loss from one of them; verification names such a key, a rebuild repairs it. Buckets on synced storage lose no tail.
import { Fault } from '#libs/kernel/fault.ts';
import { type Change, foldChanges, type Poison, type Reading } from './fold.ts';
import type { HotKey, HotKeys } from './hot-keys.ts';
import type { KeyLoader } from './key-loader.ts';
import { type ProjectionParts, untilReachable } from './parts.ts';
import { NOBODY } from '#libs/consumers/owned-value.ts';
import { encodePosition, POSITION_KEY, readPosition } from './position.ts';
import { encodeValue, type Stamped } from './projection.ts';
import { type KeyOutcome, type KeyPut, putKeys, refoldKeys } from './put-keys.ts';

/** `held`: done and still the owner; `fenced`: somebody else owns the bucket; `lost`: the bucket is behind what was acknowledged. */
export type Hold = 'held' | 'fenced' | 'lost';

interface KeyWrite<Event, State> {
  readonly key: string;
  readonly changes: readonly Change<Event>[];
  readonly base: HotKey<State>;
  readonly next: Stamped<State>;
}

/** Rounds of folding onto other writers' values before the batch is given up to whoever is faster. */
const MAX_ROUNDS = 20;

export class BatchWriter<Event, State extends object> {
  readonly #parts: ProjectionParts<Event, State>;
  readonly #hot: HotKeys<State>;
  readonly #loader: KeyLoader<Event, State>;
  /** The position as the bucket has it. */
  #savedSeq: number;
  #positionRevision: number;
  /** Covered by keys that are stored; not in the bucket yet. */
  #unsavedSeq: number | undefined;
  /** When the position was stored last. */
  #savedAtMs = Number.NEGATIVE_INFINITY;
  /** The highest revision ever acknowledged: one that is not higher tells that the bucket went back. */
  #topRevision: number;

  constructor(
    parts: ProjectionParts<Event, State>,
    keys: { readonly hot: HotKeys<State>; readonly loader: KeyLoader<Event, State> },
    claimed: { readonly seq: number; readonly revision: number },
  ) {
    this.#parts = parts;
    this.#hot = keys.hot;
    this.#loader = keys.loader;
    this.#savedSeq = claimed.seq;
    this.#positionRevision = claimed.revision;
    this.#topRevision = claimed.revision;
  }

  get savedSeq(): number {
    return this.#savedSeq;
  }

  /** Whether keys are stored that the stored position does not cover. */
  get isAhead(): boolean {
    return this.#unsavedSeq !== undefined;
  }

  /** Folds and stores what was taken. The position follows with the next batch, or with {@link savePosition}. */
  async write(taken: readonly Reading<Event>[]): Promise<Hold> {
    const last = taken.at(-1)?.entry;
    if (last === undefined) return 'held';
    const startedMs = this.#parts.clock.monotonicMs();
    const changes = await this.#sort(taken);
    await untilReachable(this.#parts, () => this.#loader.ready(changes.keys()));
    const isSound = this.#loader.takeSuspicion() ? await this.check() : 'held';
    if (isSound !== 'held') return isSound;
    const poisons: Poison[] = [];
    const writes = this.#fold(changes, poisons);
    for (const poison of poisons) await this.#report(poison);
    const { clock, observe, limits } = this.#parts;
    const isDue = clock.monotonicMs() - this.#savedAtMs >= limits.positionMs;
    const hold = await this.#store(writes, isDue);
    if (hold !== 'held') return hold;
    this.#unsavedSeq = last.seq;
    this.#hot.trim();
    const durationMs = clock.monotonicMs() - startedMs;
    const lagMs = clock.now() - last.storedAt;
    observe({
      kind: 'batch',
      entries: taken.length,
      keys: writes.length,
      seq: last.seq,
      durationMs,
      lagMs,
    });
    return 'held';
  }

  /** Stores the position of the last batch, when it is not stored yet. */
  async savePosition(): Promise<Hold> {
    return this.#unsavedSeq === undefined ? 'held' : this.#store([], true);
  }

  /** Hands the bucket back, so that a standby need not wait. Best effort: without it the standby waits. */
  async release(): Promise<void> {
    const put = this.#positionPut(this.#savedSeq, NOBODY);
    await this.#parts.kv.put(put.key, put.value, put.options).catch(() => undefined);
  }

  /** Looks whether the bucket is as this writer left it. */
  async check(): Promise<Hold> {
    const { position, revision } = await untilReachable(this.#parts, () => readPosition(this.#parts.kv));
    if (revision === this.#positionRevision) return 'held';
    if (position !== undefined && position.owner !== this.#parts.owner) return 'fenced';
    // An own write whose acknowledgement was lost. Anything else of ours is old: the bucket went back.
    if (
      position?.rebuild !== undefined ||
      position?.seq !== this.#unsavedSeq ||
      revision <= this.#topRevision
    )
      return 'lost';
    this.#saved(revision);
    return 'held';
  }

  async #sort(taken: readonly Reading<Event>[]): Promise<Map<string, Change<Event>[]>> {
    const changes = new Map<string, Change<Event>[]>();
    for (const reading of taken) {
      if (reading.kind === 'poison') await this.#report(reading.poison);
      if (reading.kind !== 'change') continue;
      const ofKey = changes.get(reading.key);
      if (ofKey === undefined) changes.set(reading.key, [reading]);
      else ofKey.push(reading);
    }
    return changes;
  }

  #fold(changes: ReadonlyMap<string, readonly Change<Event>[]>, poisons: Poison[]): KeyWrite<Event, State>[] {
    const writes: KeyWrite<Event, State>[] = [];
    for (const [key, ofKey] of changes) {
      const base = this.#hot.get(key);
      if (base === undefined)
        throw new Fault({ code: 'PROJECTION_KEY_COLD', retry: 'later', message: `key ${key} is not loaded` });
      const next = foldChanges(this.#parts.projection, base.stored, ofKey, (poison) => poisons.push(poison));
      // Touched, so that it stays; kept as it is in the bucket until the bucket has the new one.
      this.#hot.set(key, base);
      if (next !== base.stored) writes.push({ key, changes: ofKey, base, next });
    }
    return writes;
  }

  async #store(writes: readonly KeyWrite<Event, State>[], isPositionDue: boolean): Promise<Hold> {
    let open = writes;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const savesPosition = isPositionDue && this.#unsavedSeq !== undefined;
      if (open.length === 0 && !savesPosition) return 'held';
      const puts = open.map((write) => this.#putOf(write));
      if (savesPosition) puts.push(this.#positionPut(this.#unsavedSeq ?? 0));
      const outcomes = await untilReachable(this.#parts, () => this.#putAll(puts, open));
      if (this.#wentBack(outcomes)) return this.#recover(writes);
      const hold = await this.#settle(open, outcomes);
      if (typeof hold === 'string') return hold;
      open = hold;
    }
    return 'fenced';
  }

  /** The keys that have to be put again, or why the batch ends here. */
  async #settle(
    writes: readonly KeyWrite<Event, State>[],
    outcomes: readonly KeyOutcome[],
  ): Promise<Hold | readonly KeyWrite<Event, State>[]> {
    const position = outcomes[writes.length];
    if (position?.kind === 'stored') this.#saved(position.revision);
    const conflicts: KeyWrite<Event, State>[] = [];
    for (const [at, write] of writes.entries()) {
      const outcome = outcomes[at];
      if (outcome?.kind === 'conflict') conflicts.push(write);
      else if (outcome?.kind === 'stored') {
        this.#topRevision = Math.max(this.#topRevision, outcome.revision);
        this.#hot.set(write.key, { stored: write.next, revision: outcome.revision });
      }
    }
    if (position?.kind !== 'conflict' && conflicts.length === 0) return [];
    const hold = await this.check();
    if (hold !== 'held') return hold;
    const again: KeyWrite<Event, State>[] = [];
    for (const write of conflicts) {
      const resolved = await untilReachable(this.#parts, () => this.#resolve(write));
      if (resolved !== undefined) again.push(resolved);
    }
    return again;
  }

  /** What to put instead of a write that met another value; undefined: the bucket holds it, or more, already. */
  async #resolve(write: KeyWrite<Event, State>): Promise<KeyWrite<Event, State> | undefined> {
    const { kv, projection } = this.#parts;
    const entry = await kv.get(write.key);
    const revision = entry?.revision ?? 0;
    let stored = await this.#loader.read(entry);
    // Behind what was stored while the position is intact: somebody has edited or deleted this key. The log knows better.
    if (stored.seq < write.base.stored.seq) stored = await this.#loader.refold(write.key);
    const base = { stored, revision };
    this.#hot.set(write.key, base);
    if (entry !== undefined && stored.seq >= write.next.seq) return undefined;
    const next = foldChanges(projection, stored, write.changes, () => undefined);
    return next.seq === 0 ? undefined : { ...write, base, next };
  }

  #putOf({ key, next, base }: KeyWrite<Event, State>): KeyPut {
    return { key, value: encodeValue(next), options: { expectedRevision: base.revision } };
  }

  #positionPut(seq: number, owner = this.#parts.owner): KeyPut {
    const { projection } = this.#parts;
    const value = encodePosition({ seq, projection: projection.name, version: projection.version, owner });
    return { key: POSITION_KEY, value, options: { expectedRevision: this.#positionRevision } };
  }

  #saved(revision: number): void {
    this.#savedSeq = this.#unsavedSeq ?? this.#savedSeq;
    this.#savedAtMs = this.#parts.clock.monotonicMs();
    this.#unsavedSeq = undefined;
    this.#positionRevision = revision;
    this.#loader.positionRevision = revision;
    this.#topRevision = Math.max(this.#topRevision, revision);
    this.#parts.observe({ kind: 'position', seq: this.#savedSeq });
  }

  #wentBack(outcomes: readonly KeyOutcome[]): boolean {
    return outcomes.some((outcome) => outcome?.kind === 'stored' && outcome.revision <= this.#topRevision);
  }

  /**
   * Keys that the last batches wrote may be gone: the position must not claim them. And keys of this batch may have been
   * folded onto what was left of them: those are folded again from the log, for they look newer than they are.
   */
  async #recover(writes: readonly KeyWrite<Event, State>[]): Promise<Hold> {
    const { kv, owner } = this.#parts;
    await untilReachable(this.#parts, async () => {
      const { position, revision } = await readPosition(kv);
      if (position?.owner !== owner || position.seq <= this.#savedSeq) return;
      const { value } = this.#positionPut(this.#savedSeq);
      await kv.put(POSITION_KEY, value, { expectedRevision: revision });
    });
    const keys = new Set(writes.map(({ key }) => key));
    const toSeq = Math.max(0, ...writes.map(({ next }) => next.seq));
    await untilReachable(this.#parts, () => refoldKeys(this.#parts, keys, toSeq));
    return 'lost';
  }

  /** Puts everything; a value that the bucket refuses (too large) is poison of its key and leaves the others alone. */
  #putAll(
    puts: readonly KeyPut[],
    writes: readonly KeyWrite<Event, State>[],
  ): Promise<readonly KeyOutcome[]> {
    return putKeys(this.#parts.kv, puts, async (at, error) => {
      const entry = writes[at]?.changes.at(-1)?.entry;
      if (entry === undefined) throw error;
      await this.#report({ entry, stage: 'store', error });
    });
  }

  async #report(poison: Poison): Promise<void> {
    const { onPoison, observe } = this.#parts;
    observe({ kind: 'poison', poison });
    await untilReachable(this.#parts, () => onPoison(poison));
  }
}
