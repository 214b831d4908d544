// An instance that does not own the place: watches it and says when to take over. Never from an owner that has nothing to do: only when
// work waits and the place was not written for a while, or at once when it was handed back. Taking over too early is harmless
// (what is done twice has derived ids), only wasteful.
import { toFault } from '#libs/kernel/fault.ts';
import type { FollowedParts } from './followed-options.ts';
import { decodePlace, NOBODY, type Place } from './place.ts';

const JITTER = 0.5;

export class PlaceStandby {
  readonly #parts: FollowedParts;
  readonly #patienceMs: number;
  #place: Place | undefined;
  #movedAtMs: number;
  #isFree = false;
  #wake: () => void = () => undefined;

  constructor(parts: FollowedParts) {
    this.#parts = parts;
    this.#movedAtMs = parts.clock.monotonicMs();
    // By chance, so that two who stand by do not race.
    this.#patienceMs = parts.limits.takeOverAfterMs * (1 + JITTER * parts.ids.random());
  }

  /** Resolves when it is time to claim the place, or when the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    const watching = new AbortController();
    const end = (): void => {
      watching.abort();
      this.#wake();
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    const watch = this.#watch(watching.signal);
    try {
      await this.#untilDue(signal);
    } finally {
      signal.removeEventListener('abort', end);
      watching.abort();
      await watch;
    }
  }

  async #untilDue(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    let lookedAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted && !this.#isFree) {
      const leftMs = Math.max(this.#movedAtMs, lookedAtMs) + this.#patienceMs - clock.monotonicMs();
      if (leftMs > 0) {
        await this.#rest(leftMs);
        continue;
      }
      lookedAtMs = clock.monotonicMs();
      if (await this.#hasWork(signal)) return;
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

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, limits } = this.#parts;
    while (!signal.aborted) {
      const fault = await this.#follow(signal).then(() => undefined, toFault);
      if (signal.aborted || fault === undefined) return;
      await clock.sleep(limits.takeOverAfterMs, signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { places, name } = this.#parts;
    for await (const event of places.watch({ keys: [name], signal }))
      if (event.kind === 'put') this.#moved(decodePlace(event.entry).place);
  }

  #moved(place: Place | undefined): void {
    this.#place = place;
    this.#movedAtMs = this.#parts.clock.monotonicMs();
    if (place?.owner !== NOBODY) return;
    this.#isFree = true;
    this.#wake();
  }

  /** Is there an entry that is not done? When the log is away: not now. */
  async #hasWork(signal: AbortSignal): Promise<boolean> {
    const { log, subjects } = this.#parts;
    const { seq = 0, open = [] } = this.#place ?? {};
    if (open.length > 0) return true;
    try {
      for await (const _ of log.replay({ from: { seq: seq + 1 }, subjects, signal })) return true;
      return false;
    } catch {
      // Looked at again after the next wait.
      return false;
    }
  }
}
