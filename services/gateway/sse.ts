// A feed as a stream of server-sent events. Written as fast as the client reads and no faster: the feed is asked for the next
// item when the last one has gone out, and a client that takes nothing for long is cut off. Comments keep the connection alive. Does not know
// what a feed is about.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { formatPosition } from './cursor.ts';
import type { FeedItem } from './feed-item.ts';
import type { FeedOutput } from './feed.ts';
import type { SendTurns } from './turnstile.ts';

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(': still here\n\n');

/** Tells the client how long to wait before it reconnects, and opens the stream at once. */
const PREAMBLE = encoder.encode('retry: 1000\n: fleetlog\n\n');

/** An event, in pieces that are sent one after the other. */
type Frame = readonly Uint8Array[];

const event = (name: string, id: string, data: string): Frame => [
  encoder.encode(`event: ${name}\nid: ${id}\ndata: ${data}\n\n`),
];

const END = encoder.encode('\n\n');

/** Less is copied sooner than sent as pieces. */
const COPIED_BYTES = 4096;

/** As {@link event}, around the bytes that all readers of the item share: behind its first brace stands where this one is. */
const itemEvent = (item: FeedItem, cursor: string): Frame => {
  const name = item.stream === 'EVENTS' ? 'report' : 'transition';
  const head = `event: ${name}\nid: ${cursor}\ndata: {"cursor":"${cursor}",`;
  const shown = item.utf8().subarray(1);
  if (shown.length > COPIED_BYTES) return [encoder.encode(head), shown, END];
  const bytes = Buffer.allocUnsafe(head.length + shown.length + END.length);
  bytes.write(head, 'latin1');
  bytes.set(shown, head.length);
  bytes.set(END, head.length + shown.length);
  return [bytes];
};

/** The record of the fleet: each item with its position, by which a client resumes. */
export const feedFrame = (output: FeedOutput): Frame => {
  const cursor = formatPosition(output.position);
  if (output.kind === 'item') return itemEvent(output.item, cursor);
  const { stream, firstSeq } = output.kind === 'gone' ? output : {};
  return event(output.kind, cursor, JSON.stringify({ cursor, stream, firstSeq }));
};

/** An event of a stream that is not resumed. */
export const plainFrame =
  (name: string) =>
  (output: unknown): Frame => [encoder.encode(`event: ${name}\ndata: ${JSON.stringify(output)}\n\n`)];

export interface SseOptions<Output> {
  readonly feed: AsyncGenerator<Output>;
  /** The event of an item. */
  readonly frame: (output: Output) => Frame;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Of all streams together. */
  readonly turns: SendTurns;
  /** How long the client may take nothing of what is there for it. */
  readonly stallMs: number;
  /** It has taken nothing for so long: ends the connection, which cancels the stream. What was not sent is lost to the client until it comes again. */
  readonly onStall: () => void;
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
  /** Runs while something waits to be taken. */
  #cancelStall: CancelTimer | undefined;
  #isClosed = false;

  constructor(options: SseOptions<Output>) {
    this.#options = options;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#send(controller, [PREAMBLE]);
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#cancelStall?.();
    try {
      await this.#options.turns.mine();
      const next = (this.#next ??= this.#ask());
      if (next.settled === undefined) await this.#settledOrSilent();
      if (next.settled === undefined) return this.#send(controller, [HEARTBEAT]);
      this.#next = undefined;
      const result = await next.settled;
      if (result.done !== true) return this.#send(controller, this.#options.frame(result.value));
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

  /** Asked for more only once it was taken. */
  #send(controller: ReadableStreamDefaultController<Uint8Array>, frame: Frame): void {
    // Gone while it waited for its turn.
    if (this.#isClosed) return;
    const { turns, clock, stallMs, onStall } = this.#options;
    for (const piece of frame) {
      controller.enqueue(piece);
      turns.spend(piece.byteLength);
    }
    this.#cancelStall = clock.timer(stallMs, onStall);
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelStall?.();
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
