// Standing by: an instance that does not own a thing of a bucket (a projection, a reactor's place) watches what the owner writes of it, and
// says when to take over. Never from an owner that has nothing to do: only when work waits and nothing was written for a while, or at once
// when it was handed back. Taking over too early is harmless (what the owner writes is a fence), only wasteful.
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue, KeyValueEntry } from '#libs/ports/key-value.ts';

export interface TakeOverOptions<Mark> {
  readonly kv: KeyValue;
  /** What the owner writes. */
  readonly key: string;
  readonly decode: (entry: KeyValueEntry) => Mark | undefined;
  /** Handed back, to somebody like us. Asked at each write. */
  readonly isFree: (mark: Mark | undefined) => boolean;
  /** Whether there is something to do that the owner should have done. Undefined: nothing was ever seen of it. */
  readonly hasWork: (mark: Mark | undefined, signal: AbortSignal) => Promise<boolean>;
  /** Nothing written for so long, and up to half of it again by chance, ms. */
  readonly afterMs: number;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly signal: AbortSignal;
  /** The watch was interrupted; it goes on after `waitMs`. */
  readonly onInterrupted?: (fault: Fault, waitMs: number) => void;
}

/** So that two who stand by do not race. */
const JITTER = 0.5;

class TakeOver<Mark> {
  readonly #options: TakeOverOptions<Mark>;
  #mark: Mark | undefined;
  #movedAtMs: number;
  #isFree = false;
  #wake: () => void = () => undefined;

  constructor(options: TakeOverOptions<Mark>) {
    this.#options = options;
    this.#movedAtMs = options.clock.monotonicMs();
  }

  async wait(): Promise<void> {
    const { signal } = this.#options;
    const watching = new AbortController();
    const end = (): void => {
      watching.abort();
      this.#wake();
    };
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    const watch = this.#watch(watching.signal);
    try {
      await this.#untilDue();
    } finally {
      signal.removeEventListener('abort', end);
      watching.abort();
      await watch;
    }
  }

  async #untilDue(): Promise<void> {
    const { clock, ids, afterMs, signal, hasWork } = this.#options;
    const patienceMs = afterMs * (1 + JITTER * ids.random());
    let lookedAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted && !this.#isFree) {
      const leftMs = Math.max(this.#movedAtMs, lookedAtMs) + patienceMs - clock.monotonicMs();
      if (leftMs > 0) {
        await this.#rest(leftMs);
        continue;
      }
      lookedAtMs = clock.monotonicMs();
      if (await hasWork(this.#mark, signal)) return;
    }
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.timer(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, afterMs, onInterrupted } = this.#options;
    while (!signal.aborted) {
      const fault = await this.#follow(signal).then(() => undefined, toFault);
      if (signal.aborted || fault === undefined) return;
      onInterrupted?.(fault, afterMs);
      await clock.sleep(afterMs, signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { kv, key, decode } = this.#options;
    for await (const event of kv.watch({ keys: [key], signal }))
      if (event.kind === 'put') this.#moved(decode(event.entry));
  }

  #moved(mark: Mark | undefined): void {
    this.#mark = mark;
    this.#movedAtMs = this.#options.clock.monotonicMs();
    if (!this.#options.isFree(mark)) return;
    this.#isFree = true;
    this.#wake();
  }
}

/** Resolves when it is time to claim it, or when the signal aborts. */
export const untilTakeOver = <Mark>(options: TakeOverOptions<Mark>): Promise<void> =>
  new TakeOver(options).wait();

/** Whether the log has an entry behind `seq`. When the log is away: not now, it is looked at again after the next wait. */
export const hasEntryBehind = async (
  log: EventLog,
  { seq, subjects }: { readonly seq: number; readonly subjects: readonly string[] },
  signal: AbortSignal,
): Promise<boolean> => {
  try {
    for await (const _ of log.replay({ from: { seq: seq + 1 }, subjects, signal })) return true;
    return false;
  } catch {
    return false;
  }
};
