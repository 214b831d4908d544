// A bucket read into memory and kept current by a supervised watch: reads are a map look-up, and a writer can wait until
// its own append is visible. Values are kept as bytes and parsed when they are asked for; indexes follow small rows of them
// (view-cells.ts). Eventually consistent: decide nothing from it. Bounded by `maxKeys`: beyond that every read throws
// `VIEW_TOO_LARGE`; or by `keepsLast`: what has not changed for longest is let go. Does not fold (run-projection.ts does).
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import type { KeyValue, KeyValueEntry, WatchEvent } from '#libs/ports/key-value.ts';
import type { JsonWriter } from './json-writer.ts';
import { decodePosition, POSITION_KEY } from './position.ts';
import { decodeValue, type Stamped } from './projection.ts';
import { ViewCells, type Around, type CellOptions, type RowListener } from './view-cells.ts';

export interface ReadViewOptions<State extends object, Row extends object = never> extends CellOptions<
  State,
  Row
> {
  readonly kv: KeyValue;
  readonly clock: Clock;
  /** Keys of interest, as filters of the watch; default all. They should be many of the bucket's: it is read whole. */
  readonly keys?: readonly string[];
  /** Keys held at most; default 100,000. */
  readonly maxKeys?: number;
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

export interface ReadView<State, Row extends object = never> {
  /** Resolves when the initial state is there. */
  readonly ready: Promise<void>;
  get(key: string): Stamped<State> | undefined;
  /** Writes the value of a key as JSON, `seq` and state in one object, with something around it. False: there is none, and nothing was written. */
  write(key: string, writer: JsonWriter, around: Around): boolean;
  /** All keys with their values, in no order; `filter` sees the keys first and spares parsing. */
  list(filter?: (key: string) => boolean): IterableIterator<readonly [string, Stamped<State>]>;
  readonly size: number;
  /** The position of the projection as this view has seen it. */
  position(): number;
  /** Resolves when every entry up to `seq` is visible here. Rejects with `VIEW_BEHIND` (later) after `timeoutMs`. */
  waitFor(seq: number, options: WaitOptions): Promise<void>;
  /** The value of a key; one that is not held any more is read from the bucket. Faults: those of the bucket, of values that are none. */
  lookUp(key: string): Promise<Stamped<State> | undefined>;
  /** The row of a key as of the last {@link settle}. */
  row(key: string): Row | undefined;
  /** Brings rows, and with them the indexes that follow them, up to date: call it before they are read. Throws as every read does. */
  settle(): void;
  /** Told of every row there is, and of each change of one: how an index is kept. When the view is made anew all rows go first. */
  follow(listener: RowListener<Row>): void;
  /** Told of every change from now on. Returns what ends it. */
  subscribe(listener: ViewListener<State>): () => void;
  /** Ends the watch; what is there stays readable. */
  stop(): Promise<void>;
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

class View<State extends object, Row extends object> implements ReadView<State, Row> {
  readonly ready: Promise<void>;
  readonly #options: ReadViewOptions<State, Row>;
  readonly #cells: ViewCells<State, Row>;
  readonly #listeners = new Set<ViewListener<State>>();
  readonly #waiters = new Set<Waiter>();
  readonly #stopped = new AbortController();
  readonly #current = Promise.withResolvers<void>();
  readonly #watching: Promise<void>;
  readonly #maxKeys: number;
  #position = 0;
  #failure: Fault | undefined;
  #failures = 0;
  #isWhole = false;

  constructor(options: ReadViewOptions<State, Row>) {
    this.#options = options;
    this.#cells = new ViewCells(options);
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
    return this.#cells.get(key);
  }

  write(key: string, writer: JsonWriter, around: Around): boolean {
    this.#assertWhole();
    return this.#cells.write(key, writer, around);
  }

  async lookUp(key: string): Promise<Stamped<State> | undefined> {
    const held = this.get(key);
    if (held !== undefined) return held;
    const entry = await this.#options.kv.get(key);
    return entry === undefined ? undefined : decodeValue(this.#options.projection, entry);
  }

  row(key: string): Row | undefined {
    return this.#cells.row(key);
  }

  settle(): void {
    this.#assertWhole();
    this.#cells.settle();
  }

  follow(listener: RowListener<Row>): void {
    this.#cells.follow(listener);
  }

  *list(filter?: (key: string) => boolean): IterableIterator<readonly [string, Stamped<State>]> {
    this.#assertWhole();
    for (const key of this.#cells.keys()) {
      const value = filter === undefined || filter(key) ? this.#cells.get(key) : undefined;
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
    return key !== undefined && (this.#cells.get(key)?.seq ?? 0) >= seq;
  }

  #assertWhole(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      let waitMs = RETRY_MS;
      try {
        await this.#follow(signal);
      } catch (error) {
        const fault = toFault(error);
        if (fault.retry !== 'later' || fault.code === 'UNEXPECTED_ERROR') waitMs = this.#fail(fault);
      }
      await this.#options.clock.sleep(waitMs, signal);
    }
    this.#current.resolve();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { kv, keys } = this.#options;
    const mine = keys !== undefined && { keys, mayReadOthers: true };
    const options = { signal, borrowsValues: true, ...mine };
    for await (const events of kv.watchTogether(options))
      for (const event of events) {
        if (signal.aborted) return;
        // The bucket was made anew: what it does not hold any more is not named.
        if (event.kind === 'current' && this.#isWhole) await this.#dropMissing();
        this.#apply(event);
      }
  }

  async #dropMissing(): Promise<void> {
    const there = new Set<string>();
    for await (const key of this.#options.kv.keys()) there.add(key);
    for (const key of this.#cells.keys()) if (!there.has(key)) this.#applyTo(key, undefined);
  }

  /** Lets go of everything; gives how long to wait before it is made anew. */
  #fail(fault: Fault): number {
    this.#failure = fault;
    this.#failures += 1;
    this.#isWhole = false;
    this.#cells.clear();
    this.#position = 0;
    this.#current.reject(fault);
    this.#options.onFatal(fault);
    return Math.min(ANEW_MOST_MS, ANEW_MS * 2 ** (this.#failures - 1));
  }

  #becomeCurrent(): void {
    this.#isWhole = true;
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
    this.#applyTo(key, event.kind === 'put' ? event.entry : undefined);
  }

  #applyTo(key: string, entry: KeyValueEntry | undefined): void {
    if (entry === undefined) this.#cells.remove(key);
    else if (this.#isWhole) this.#cells.put(entry);
    else this.#cells.load(entry);
    if (this.#cells.size > this.#maxKeys) throw this.#tooLarge();
    this.#wake(key);
    if (this.#listeners.size === 0) return;
    for (const listener of this.#listeners) listener(key, this.#cells.get(key));
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
export const createReadView = <State extends object, Row extends object = never>(
  options: ReadViewOptions<State, Row>,
): ReadView<State, Row> => new View(options);
