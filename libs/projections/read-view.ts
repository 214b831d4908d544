// A bucket read into memory and kept current by a supervised watch: reads are a map look-up, and a writer can wait until
// its own append is visible. Values are parsed when they are first asked for. Eventually consistent: decide nothing from it.
// Bounded by `maxKeys`: beyond that every read throws `VIEW_TOO_LARGE`. Does not fold (run-projection.ts does).
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import type { KeyValue, KeyValueEntry, WatchEvent } from '#libs/ports/key-value.ts';
import { decodePosition, POSITION_KEY } from './position.ts';
import { decodeValue, type Projection, type Stamped } from './projection.ts';

export interface ReadViewOptions<State extends object> {
  readonly projection: Pick<Projection<never, State>, 'name' | 'bucket' | 'parse'>;
  readonly kv: KeyValue;
  readonly clock: Clock;
  /** Keys held at most; default 100,000. */
  readonly maxKeys?: number;
  /** A value that is not one of the projection's: it reads as absent. */
  readonly onInvalid?: (key: string, error: unknown) => void;
  /**
   * The watch ended with a fault that waiting does not help (bucket missing), or the view is too large. Every read throws it until the
   * view, which is made anew now and then, is whole again. Called at each failure.
   */
  readonly onFatal: (error: unknown) => void;
  /** The view is whole again after a failure. */
  readonly onRecovered?: () => void;
}

interface WaitOptions {
  readonly timeoutMs: number;
  /** Waits for this key alone, which is quicker than waiting for the position. */
  readonly key?: string;
}

/** Called after each change; `state` undefined: the key is gone. */
type ViewListener<State> = (key: string, value: Stamped<State> | undefined) => void;

export interface ReadView<State> {
  /** Resolves when the initial state is there. */
  readonly ready: Promise<void>;
  get(key: string): Stamped<State> | undefined;
  /** All keys with their values, in no order; `filter` sees the keys first and spares parsing. */
  list(filter?: (key: string) => boolean): IterableIterator<readonly [string, Stamped<State>]>;
  readonly size: number;
  /** The position of the projection as this view has seen it. */
  position(): number;
  /** Resolves when every entry up to `seq` is visible here. Rejects with `VIEW_BEHIND` (later) after `timeoutMs`. */
  waitFor(seq: number, options: WaitOptions): Promise<void>;
  /** Told of every change from now on. Returns what ends it. */
  subscribe(listener: ViewListener<State>): () => void;
  /** Ends the watch; what is there stays readable. */
  stop(): Promise<void>;
}

interface Cell<State> {
  readonly entry: KeyValueEntry;
  parsed: Stamped<State> | 'invalid' | undefined;
}

interface Waiter {
  readonly seq: number;
  readonly key: string | undefined;
  readonly resolve: () => void;
  readonly cancel: CancelTimer;
}

/** Between two watches, when one could not be had. */
const RETRY_MS = 500;
/** After a fault that somebody has to put right; each time twice as long, up to the last. */
const ANEW_MS = 5000;
const ANEW_MOST_MS = 300_000;

class View<State extends object> implements ReadView<State> {
  readonly ready: Promise<void>;
  readonly #options: ReadViewOptions<State>;
  readonly #cells = new Map<string, Cell<State>>();
  readonly #listeners = new Set<ViewListener<State>>();
  readonly #waiters = new Set<Waiter>();
  readonly #stopped = new AbortController();
  readonly #current = Promise.withResolvers<void>();
  readonly #watching: Promise<void>;
  readonly #maxKeys: number;
  #position = 0;
  #failure: Fault | undefined;
  #failures = 0;

  constructor(options: ReadViewOptions<State>) {
    this.#options = options;
    this.#maxKeys = options.maxKeys ?? 100_000;
    this.ready = this.#current.promise;
    // Whoever does not wait for readiness hears of a failure through onFatal.
    this.ready.catch(() => undefined);
    this.#watching = this.#watch();
  }

  get size(): number {
    return this.#cells.size;
  }

  get(key: string): Stamped<State> | undefined {
    this.#assertWhole();
    return this.#parse(this.#cells.get(key));
  }

  *list(filter?: (key: string) => boolean): IterableIterator<readonly [string, Stamped<State>]> {
    this.#assertWhole();
    for (const [key, cell] of this.#cells) {
      const value = filter === undefined || filter(key) ? this.#parse(cell) : undefined;
      if (value !== undefined) yield [key, value];
    }
  }

  position(): number {
    return this.#position;
  }

  async waitFor(seq: number, { timeoutMs, key }: WaitOptions): Promise<void> {
    this.#assertWhole();
    if (this.#shows(seq, key)) return;
    await new Promise<void>((resolve, reject) => {
      const cancel = this.#options.clock.timer(timeoutMs, () => {
        this.#waiters.delete(waiter);
        reject(this.#behind(seq));
      });
      const waiter: Waiter = { seq, key, resolve, cancel };
      this.#waiters.add(waiter);
    });
  }

  subscribe(listener: ViewListener<State>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  #behind(seq: number): Fault {
    const { name } = this.#options.projection;
    return new Fault({
      code: 'VIEW_BEHIND',
      retry: 'later',
      message: `projection ${name} has not shown entry ${seq} yet; it stands at ${this.#position}`,
      detail: { seq, position: this.#position },
    });
  }

  #shows(seq: number, key: string | undefined): boolean {
    if (this.#position >= seq) return true;
    return key !== undefined && (this.#parse(this.#cells.get(key))?.seq ?? 0) >= seq;
  }

  #assertWhole(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #parse(cell: Cell<State> | undefined): Stamped<State> | undefined {
    if (cell === undefined) return undefined;
    if (cell.parsed === undefined) {
      try {
        cell.parsed = decodeValue(this.#options.projection, cell.entry);
      } catch (error) {
        cell.parsed = 'invalid';
        this.#options.onInvalid?.(cell.entry.key, error);
      }
    }
    return cell.parsed === 'invalid' ? undefined : cell.parsed;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      let waitMs = RETRY_MS;
      try {
        for await (const event of this.#options.kv.watch({ signal })) this.#apply(event);
      } catch (error) {
        const fault = toFault(error);
        if (fault.retry !== 'later' || fault.code === 'UNEXPECTED_ERROR') waitMs = this.#fail(fault);
      }
      await this.#options.clock.sleep(waitMs, signal);
    }
    this.#current.resolve();
  }

  /** Lets go of everything; gives how long to wait before it is made anew. */
  #fail(fault: Fault): number {
    this.#failure = fault;
    this.#failures += 1;
    this.#cells.clear();
    this.#position = 0;
    this.#current.reject(fault);
    this.#options.onFatal(fault);
    return Math.min(ANEW_MOST_MS, ANEW_MS * 2 ** (this.#failures - 1));
  }

  #becomeCurrent(): void {
    this.#current.resolve();
    if (this.#failure === undefined) return;
    this.#failure = undefined;
    this.#failures = 0;
    this.#options.onRecovered?.();
  }

  #apply(event: WatchEvent): void {
    if (event.kind === 'current') return this.#becomeCurrent();
    const key = event.kind === 'put' ? event.entry.key : event.key;
    if (key === POSITION_KEY) {
      this.#position = event.kind === 'put' ? (decodePosition(event.entry).position?.seq ?? 0) : 0;
      return this.#wake(undefined);
    }
    if (key.startsWith('_')) return;
    if (event.kind === 'put') this.#cells.set(key, { entry: event.entry, parsed: undefined });
    else this.#cells.delete(key);
    if (this.#cells.size > this.#maxKeys) throw this.#tooLarge();
    this.#wake(key);
    for (const listener of this.#listeners) listener(key, this.#parse(this.#cells.get(key)));
  }

  #tooLarge(): Fault {
    const { bucket } = this.#options.projection;
    return new Fault({
      code: 'VIEW_TOO_LARGE',
      retry: 'never',
      message: `bucket ${bucket} has more than ${this.#maxKeys} keys: raise maxKeys, or expire what is old`,
      detail: { bucket, maxKeys: this.#maxKeys },
    });
  }

  /** Looks after those who wait: all of them when the position moved, else those of `key`. */
  #wake(key: string | undefined): void {
    for (const waiter of this.#waiters) {
      if (key !== undefined && waiter.key !== key) continue;
      if (!this.#shows(waiter.seq, waiter.key)) continue;
      this.#waiters.delete(waiter);
      waiter.cancel();
      waiter.resolve();
    }
  }
}

/** Starts watching at once. */
export const createReadView = <State extends object>(options: ReadViewOptions<State>): ReadView<State> =>
  new View(options);
