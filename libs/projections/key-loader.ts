// Brings the states of keys that are not hot from the bucket, ahead of their need: while one batch is being written, the
// keys of what has arrived meanwhile are loaded, many at once, one request in flight. A value that is not one of the
// projection's (edited by hand) is folded again from the log. May read a replica that lags: the expected revision of the
// following write finds that out.
import type { KeyValueEntry } from '#libs/ports/key-value.ts';
import { foldLog } from './fold.ts';
import type { HotKeys } from './hot-keys.ts';
import type { ProjectionParts } from './parts.ts';
import { POSITION_KEY } from './position.ts';
import { decodeValue, type Stamped } from './projection.ts';

export class KeyLoader<Event, State extends object> {
  readonly #parts: ProjectionParts<Event, State>;
  readonly #hot: HotKeys<State>;
  #wanted = new Set<string>();
  #inFlight: Promise<void> | undefined;
  /** The revision of the position as the writer knows it. */
  positionRevision: number;
  #isSuspicious = false;
  /** Sequence of the last entry that was taken from the intake: what a healed key is folded up to. */
  takenSeq: number;

  constructor(
    parts: ProjectionParts<Event, State>,
    hot: HotKeys<State>,
    claimed: { readonly seq: number; readonly revision: number },
  ) {
    this.#parts = parts;
    this.#hot = hot;
    this.takenSeq = claimed.seq;
    this.positionRevision = claimed.revision;
  }

  /**
   * True once after a load that saw another position than the writer's own: the bucket may have lost its tail, and what was
   * loaded may be old. (Or a position write was on its way, or a replica lagged: the writer asks the leader.)
   */
  takeSuspicion(): boolean {
    const isSuspicious = this.#isSuspicious;
    this.#isSuspicious = false;
    return isSuspicious;
  }

  /** The key will be needed soon. */
  want(key: string): void {
    if (this.#hot.has(key) || this.#wanted.has(key)) return;
    this.#wanted.add(key);
    this.#inFlight ??= this.#loadWanted();
  }

  /** The key is new: there is nothing to be loaded. Should it be there after all, the following write finds that out. */
  begin(key: string): void {
    if (this.#hot.has(key) || this.#wanted.has(key)) return;
    this.#hot.set(key, { stored: { seq: 0, state: this.#parts.projection.initial }, revision: 0 });
  }

  /** Resolves when all `keys` are hot. Throws the bucket's faults. */
  async ready(keys: Iterable<string>): Promise<void> {
    const needed = [...keys];
    if (needed.every((key) => this.#hot.has(key))) return;
    while (this.#inFlight !== undefined) await this.#inFlight;
    await this.#load(needed.filter((key) => !this.#hot.has(key)));
  }

  /** The state that a stored entry holds, or what the log says when it is not a state. */
  async read(entry: KeyValueEntry | undefined): Promise<Stamped<State>> {
    const { projection, observe } = this.#parts;
    if (entry === undefined) return { seq: 0, state: projection.initial };
    try {
      return decodeValue(projection, entry);
    } catch {
      observe({ kind: 'healed', key: entry.key });
      return this.refold(entry.key);
    }
  }

  /** The state of one key by the log alone, up to {@link takenSeq}. */
  async refold(key: string): Promise<Stamped<State>> {
    const { projection, log } = this.#parts;
    const toSeq = this.takenSeq;
    const lastSeqOf = (other: string): number | undefined => (other === key ? toSeq : undefined);
    const states = await foldLog(projection, log, { toSeq, lastSeqOf });
    return states.get(key) ?? { seq: 0, state: projection.initial };
  }

  async #loadWanted(): Promise<void> {
    // In the next turn: what arrived together is asked for together.
    await Promise.resolve();
    while (this.#wanted.size > 0) {
      const keys = [...this.#wanted];
      try {
        await this.#load(keys.filter((key) => !this.#hot.has(key)));
      } catch {
        // Only ahead of the need: `ready` asks again, and says what is wrong.
        this.#wanted.clear();
        break;
      }
      for (const key of keys) this.#wanted.delete(key);
    }
    this.#inFlight = undefined;
  }

  async #load(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const before = this.positionRevision;
    const entries = await this.#parts.kv.getMany([...keys, POSITION_KEY]);
    const seen = entries.get(POSITION_KEY)?.revision ?? 0;
    if (seen !== before && seen !== this.positionRevision) this.#isSuspicious = true;
    for (const key of keys) {
      const entry = entries.get(key);
      const stored = await this.read(entry);
      if (!this.#hot.has(key)) this.#hot.set(key, { stored, revision: entry?.revision ?? 0 });
    }
  }
}
