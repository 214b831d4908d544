// A feed as a stream of server-sent events. Written as fast as the client reads and no faster: the feed is asked for the next
// item when the last one has gone out. Comments keep the connection alive. Does not know what a feed is about.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { formatPosition } from './cursor.ts';
import { itemJson } from './event-page.ts';
import type { FeedOutput } from './feed.ts';

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(': still here\n\n');

/** Tells the client how long to wait before it reconnects, and opens the stream at once. */
const PREAMBLE = encoder.encode('retry: 1000\n: fleetlog\n\n');

const event = (name: string, id: string, data: string): string =>
  `event: ${name}\nid: ${id}\ndata: ${data}\n\n`;

const frameOf = (output: FeedOutput): string => {
  const cursor = formatPosition(output.position);
  if (output.kind === 'item') {
    const name = output.item.stream === 'EVENTS' ? 'report' : 'transition';
    return event(name, cursor, itemJson(output.item, output.position));
  }
  const { stream, firstSeq } = output.kind === 'gone' ? output : {};
  return event(output.kind, cursor, JSON.stringify({ cursor, stream, firstSeq }));
};

export interface SseOptions {
  readonly feed: AsyncGenerator<FeedOutput>;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Called once, when the stream is over for whatever reason. */
  readonly onClose: () => void;
  /** The feed failed; the client will come again with its last id. */
  readonly onFailure: (error: unknown) => void;
}

class SseSource {
  readonly #options: SseOptions;
  #next: Promise<IteratorResult<FeedOutput>> | undefined;
  #isClosed = false;

  constructor(options: SseOptions) {
    this.#options = options;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    controller.enqueue(PREAMBLE);
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      this.#next ??= this.#options.feed.next();
      const result = await this.#withHeartbeat(this.#next);
      if (result === 'silence') return controller.enqueue(HEARTBEAT);
      this.#next = undefined;
      if (result.done !== true) return controller.enqueue(encoder.encode(frameOf(result.value)));
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

  /** The next item, or the news that there was none for a while; the item is then still to come. */
  #withHeartbeat(next: Promise<IteratorResult<FeedOutput>>): Promise<IteratorResult<FeedOutput> | 'silence'> {
    const { clock, heartbeatMs } = this.#options;
    let cancel: CancelTimer = () => undefined;
    const silence = new Promise<'silence'>((resolve) => {
      cancel = clock.timer(heartbeatMs, () => resolve('silence'), { keepAlive: true });
    });
    return Promise.race([next, silence]).finally(cancel);
  }
}

/** The body of an event stream; a failed feed ends it, and the client comes again where it was. */
export const sseBody = (options: SseOptions): ReadableStream<Uint8Array> =>
  new ReadableStream(new SseSource(options), { highWaterMark: 1 });
