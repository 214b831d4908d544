// A feed as a stream of server-sent events. Written as fast as the client reads and no faster: the feed is asked for the next
// item when the last one has gone out. Comments keep the connection alive. Does not know what a feed is about.
import type { Clock } from '#libs/ports/clock.ts';
import { formatPosition } from './cursor.ts';
import { itemJson } from './event-page.ts';
import type { FeedOutput } from './feed.ts';

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(': still here\n\n');

/** Tells the client how long to wait before it reconnects, and opens the stream at once. */
const PREAMBLE = encoder.encode('retry: 1000\n: fleetlog\n\n');

const event = (name: string, id: string, data: string): string =>
  `event: ${name}\nid: ${id}\ndata: ${data}\n\n`;

/** The record of the fleet: each item with its position, by which a client resumes. */
export const feedFrame = (output: FeedOutput): string => {
  const cursor = formatPosition(output.position);
  if (output.kind === 'item') {
    const name = output.item.stream === 'EVENTS' ? 'report' : 'transition';
    return event(name, cursor, itemJson(output.item, output.position));
  }
  const { stream, firstSeq } = output.kind === 'gone' ? output : {};
  return event(output.kind, cursor, JSON.stringify({ cursor, stream, firstSeq }));
};

/** An event of a stream that is not resumed. */
export const plainFrame =
  (name: string) =>
  (output: unknown): string =>
    `event: ${name}\ndata: ${JSON.stringify(output)}\n\n`;

export interface SseOptions<Output> {
  readonly feed: AsyncGenerator<Output>;
  /** The event of an item. */
  readonly frame: (output: Output) => string;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Called once, when the stream is over for whatever reason. */
  readonly onClose: () => void;
  /** The feed failed; the client will come again with its last id. */
  readonly onFailure: (error: unknown) => void;
}

interface Asked<Output> {
  /** There once it has come or failed. */
  settled?: Promise<IteratorResult<Output>>;
}

class SseSource<Output> {
  readonly #options: SseOptions<Output>;
  /** Asked for and not yet sent. */
  #next: Asked<Output> | undefined;
  #wake: () => void = () => undefined;
  #isClosed = false;

  constructor(options: SseOptions<Output>) {
    this.#options = options;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    controller.enqueue(PREAMBLE);
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      const next = (this.#next ??= this.#ask());
      if (next.settled === undefined) await this.#settledOrSilent();
      if (next.settled === undefined) return controller.enqueue(HEARTBEAT);
      this.#next = undefined;
      const result = await next.settled;
      if (result.done !== true) return controller.enqueue(encoder.encode(this.#options.frame(result.value)));
    } catch (error) {
      if (!this.#isClosed) this.#options.onFailure(error);
    }
    this.#close();
    controller.close();
  }

  async cancel(): Promise<void> {
    this.#close();
    await this.#options.feed.return(undefined).catch(() => undefined);
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.onClose();
  }

  /** Listens once to what comes next: a race per heartbeat would pile up listeners for as long as the stream is silent. */
  #ask(): Asked<Output> {
    const next: Asked<Output> = {};
    const coming = this.#options.feed.next();
    const settle = (): void => {
      next.settled = coming;
      this.#wake();
    };
    coming.then(settle, settle);
    return next;
  }

  /** Resolves when the next item has come, or when there was none for a while. */
  #settledOrSilent(): Promise<void> {
    const { clock, heartbeatMs } = this.#options;
    return new Promise((resolve) => {
      const cancel = clock.timer(heartbeatMs, resolve, { keepAlive: true });
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** The body of an event stream; a failed feed ends it, and the client comes again where it was. */
export const sseBody = <Output>(options: SseOptions<Output>): ReadableStream<Uint8Array> =>
  new ReadableStream(new SseSource(options), { highWaterMark: 1 });
