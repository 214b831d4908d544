// An instance that does not own the bucket: watches the position and says when to take over. It never takes over from an
// owner that has nothing to do: only when entries wait and the position has not moved for a while, or at once when the
// bucket was handed back (by an owner that stopped, or a rebuild). Taking over too early is harmless (the position is a fence, the fold is the same), only wasteful.
import { toFault } from '#libs/kernel/fault.ts';
import type { ProjectionParts } from './parts.ts';
import { decodePosition, NOBODY, type Position, POSITION_KEY } from './position.ts';

/** Jitter of the wait, so that two standbys do not race: up to half of it again. */
const JITTER = 0.5;

export class Standby<Event, State extends object> {
  readonly #parts: ProjectionParts<Event, State>;
  #position: Position | undefined;
  #movedAtMs: number;
  #isFree = false;
  #wake: () => void = () => undefined;

  constructor(parts: ProjectionParts<Event, State>) {
    this.#parts = parts;
    this.#movedAtMs = parts.clock.monotonicMs();
  }

  /** Resolves when it is time to claim the bucket, or when the projection stops. */
  async wait(): Promise<void> {
    const { signal, clock, limits, ids } = this.#parts;
    const watching = new AbortController();
    const end = (): void => {
      watching.abort();
      this.#wake();
    };
    signal.addEventListener('abort', end, { once: true });
    const watch = this.#watch(watching.signal);
    const patienceMs = limits.takeOverAfterMs * (1 + JITTER * ids.random());
    let lookedAtMs = Number.NEGATIVE_INFINITY;
    try {
      while (!signal.aborted && !this.#isFree) {
        const leftMs = Math.max(this.#movedAtMs, lookedAtMs) + patienceMs - clock.monotonicMs();
        if (leftMs > 0) {
          await this.#rest(leftMs);
          continue;
        }
        lookedAtMs = clock.monotonicMs();
        if (this.#isRebuilding()) continue;
        // A rebuild that ended without letting go has left the bucket half switched: that is work, too.
        if (this.#position?.rebuild !== undefined || (await this.#hasWork())) return;
      }
    } finally {
      signal.removeEventListener('abort', end);
      watching.abort();
      await watch;
    }
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#parts.clock.timer(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  #isRebuilding(): boolean {
    return (this.#position?.rebuild?.untilMs ?? 0) > this.#parts.clock.now();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, observe, limits } = this.#parts;
    while (!signal.aborted) {
      const fault = await this.#follow(signal).then(() => undefined, toFault);
      if (signal.aborted || fault === undefined) return;
      observe({ kind: 'interrupted', fault, waitMs: limits.takeOverAfterMs });
      await clock.sleep(limits.takeOverAfterMs, signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const event of this.#parts.kv.watch({ keys: [POSITION_KEY], signal }))
      if (event.kind === 'put') this.#moved(decodePosition(event.entry).position);
  }

  #moved(position: Position | undefined): void {
    this.#position = position;
    this.#movedAtMs = this.#parts.clock.monotonicMs();
    if (position?.owner !== NOBODY || position.version > this.#parts.projection.version) return;
    this.#isFree = true;
    this.#wake();
  }

  /** Is there an entry behind the position? When the log is away: not now. */
  async #hasWork(): Promise<boolean> {
    const { log, projection, signal } = this.#parts;
    // A newer version owns the bucket: this instance has nothing to offer.
    if ((this.#position?.version ?? 0) > projection.version) return false;
    const from = { seq: (this.#position?.seq ?? 0) + 1 };
    try {
      for await (const _ of log.replay({ from, subjects: projection.subjects, signal })) return true;
      return false;
    } catch {
      // The log is away: looked at again after the next wait.
      return false;
    }
  }
}
