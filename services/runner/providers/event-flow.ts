// The events of a turn on their way to its sink: one after another, in order, text that comes word by word joined on the way (a moment's
// worth at a time). Whoever puts an event in waits until it is taken, except for text, of which a bounded piece is held.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { coalesce } from './coalesce.policy.ts';
import type { EventSink, ProviderEvent } from './provider.ts';

/** Text is held for this long at most, ms. */
const HOLD_MS = 200;

export class EventFlow {
  readonly #sink: EventSink;
  readonly #clock: Clock;
  readonly #onFailed: (error: unknown) => void;
  #held: ProviderEvent | undefined;
  #cancelHold: CancelTimer = () => undefined;
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #events = 0;

  /** `onFailed`: the sink rejected; nothing is taken any more, and whoever puts something in is told so. */
  constructor(sink: EventSink, clock: Clock, onFailed: (error: unknown) => void) {
    this.#sink = sink;
    this.#clock = clock;
    this.#onFailed = onFailed;
  }

  /** Events handed to the sink. */
  get events(): number {
    return this.#events;
  }

  /** Rejects when the sink did. */
  async put(event: ProviderEvent): Promise<void> {
    const isText = event.kind === 'text' || event.kind === 'reasoning';
    if (this.#held !== undefined) {
      const [only, further] = coalesce([this.#held, event]);
      if (only !== undefined && further === undefined) {
        this.#held = only;
        return;
      }
    }
    const released = this.#release(isText ? event : undefined);
    // In line before anything is awaited: another event may be put in meanwhile.
    await Promise.all(isText ? [released] : [released, this.#hand(event)]);
  }

  /** Resolves when everything has been taken. Rejects when the sink did. */
  async flush(): Promise<void> {
    await this.#release(undefined);
    await this.#last;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #hold(event: ProviderEvent): void {
    this.#held = event;
    this.#cancelHold = this.#clock.timer(HOLD_MS, () => {
      // A failure is told by #hand.
      this.#release(undefined).catch(() => undefined);
    });
  }

  async #release(next: ProviderEvent | undefined): Promise<void> {
    const held = this.#held;
    this.#cancelHold();
    this.#held = undefined;
    if (next !== undefined) this.#hold(next);
    if (held !== undefined) await this.#hand(held);
  }

  #hand(event: ProviderEvent): Promise<void> {
    const taking = this.#last.then(() => this.#take(event));
    this.#last = taking.catch(() => undefined);
    return taking;
  }

  async #take(event: ProviderEvent): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      await this.#sink(event);
      this.#events += 1;
    } catch (error) {
      this.#failure = { error };
      this.#onFailed(error);
      throw error;
    }
  }
}
