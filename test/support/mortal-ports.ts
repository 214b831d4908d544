// The ports of a process that can be killed at any point: from then on nothing that it called ever comes back, nothing that it calls is
// done, its timers do not ring, its subscriptions are gone and what it had in hand is neither acknowledged nor given back. A write that
// was under way may have been done: nobody will know. It can be told to die in one of its next calls, just before that is done or just after.
import type { Blobs } from '#libs/ports/blobs.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { appendInOrder } from '#libs/ports/append-in-order.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { RequestClient, RequestServer } from '#libs/ports/requests.ts';
import type { Delivery, WorkQueue } from '#libs/ports/work-queue.ts';
import type { Ports } from '#libs/service/context.ts';

export interface MortalPorts {
  readonly ports: Ports;
  readonly isOver: boolean;
  /** Ends the process as SIGKILL does. */
  kill(): void;
  /** It dies in the call that comes as number `nth` from now (1: the next one); `onDeath` hears in which. */
  dieIn(nth: number, half: 'before' | 'after', onDeath: (call: string) => void): void;
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

interface Doom {
  left: number;
  readonly half: 'before' | 'after';
  readonly onDeath: (call: string) => void;
}

class Life {
  isOver = false;
  readonly #onEnd = new Set<() => void>();
  #doom: Doom | undefined;

  readonly #passOn = <T>(value: T): T | Promise<T> => (this.isOver ? never<T>() : value);
  readonly #failOn = (error: unknown): Promise<never> => {
    if (this.isOver) return never();
    throw error;
  };

  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const tell of this.#onEnd) tell();
    this.#onEnd.clear();
  }

  /** Calls `tell` when it is over, unless the returned function was called before. */
  atEnd(tell: () => void): () => void {
    this.#onEnd.add(tell);
    return () => this.#onEnd.delete(tell);
  }

  doom(doom: Doom): void {
    this.#doom = doom;
  }

  /** The outcome, unless the process has died meanwhile. */
  outcome<T>(work: Promise<T>): Promise<T> {
    return work.then(this.#passOn<T>, this.#failOn);
  }

  /** One call that leaves the process. */
  call<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.isOver || this.#diesIn(name, 'before')) return never();
    const result = work();
    if (!this.#diesIn(name, 'after')) return this.outcome(result);
    // Nobody is there to hear of a fault.
    result.catch(() => undefined);
    return never();
  }

  /** One that has no answer. */
  does(name: string, work: () => void): void {
    if (this.isOver || this.#diesIn(name, 'before')) return;
    work();
    this.#diesIn(name, 'after');
  }

  #diesIn(name: string, half: 'before' | 'after'): boolean {
    const doom = this.#doom;
    if (doom === undefined) return false;
    if (half === 'before') doom.left -= 1;
    if (doom.left > 0 || doom.half !== half) return false;
    this.#doom = undefined;
    this.end();
    doom.onDeath(name);
    return true;
  }

  /** Aborts with the given one, and when the process dies. */
  linked(given: AbortSignal | undefined): { readonly signal: AbortSignal; readonly release: () => void } {
    const link = new AbortController();
    const abort = (): void => link.abort(ENDED);
    const forget = this.atEnd(abort);
    if (given?.aborted === true || this.isOver) abort();
    given?.addEventListener('abort', abort, { once: true });
    const release = (): void => {
      forget();
      given?.removeEventListener('abort', abort);
    };
    return { signal: link.signal, release };
  }

  /** What comes one by one, until the process dies. */
  items<T, U = T>(
    source: AsyncIterable<T>,
    { release, map }: { readonly release?: () => void; readonly map?: (item: T) => U } = {},
  ): AsyncIterable<U> {
    const pass = (result: IteratorResult<T>): IteratorResult<U> | Promise<IteratorResult<U>> => {
      if (this.isOver) return never();
      if (result.done === true) release?.();
      else if (map !== undefined) return { done: false, value: map(result.value) };
      return result as unknown as IteratorResult<U>;
    };
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = source[Symbol.asyncIterator]();
        return {
          next: () => (this.isOver ? never() : iterator.next().then(pass, this.#failOn)),
          return: async () => {
            if (this.isOver) return never();
            release?.();
            await iterator.return?.();
            return { done: true, value: undefined };
          },
        };
      },
    };
  }
}

/** Spares the making of an error each time. */
const ENDED = new Error('over');

const mortalLog = (log: EventLog, life: Life): EventLog => ({
  stream: log.stream,
  append: (entry) => life.call(`append to ${log.stream}`, () => log.append(entry)),
  // It can die between any two.
  appendInOrder: (entries) =>
    appendInOrder((entry) => life.call(`append to ${log.stream}`, () => log.append(entry)), entries),
  appendTogether: (entries) => life.call(`batch to ${log.stream}`, () => log.appendTogether(entries)),
  last: (subject) => life.call('last', () => log.last(subject)),
  lastSeen: (subject) => life.call('last', () => log.lastSeen(subject)),
  bounds: () => life.call('bounds', () => log.bounds()),
  read: (subject, fromSeq) => life.items(log.read(subject, fromSeq)),
  replay: (options = {}) => {
    if (options.follow !== true) return life.items(log.replay(options));
    const { signal, release } = life.linked(options.signal);
    return life.items(log.replay({ ...options, signal }), { release });
  },
  replayTogether: (options = {}) => {
    if (options.follow !== true) return life.items(log.replayTogether(options));
    const { signal, release } = life.linked(options.signal);
    return life.items(log.replayTogether({ ...options, signal }), { release });
  },
});

const mortalBucket = (bucket: KeyValue, life: Life): KeyValue => ({
  bucket: bucket.bucket,
  get: (key) => life.call(`get from ${bucket.bucket}`, () => bucket.get(key)),
  getMany: (keys) => life.call(`get from ${bucket.bucket}`, () => bucket.getMany(keys)),
  put: (key, value, options) => life.call(`put to ${bucket.bucket}`, () => bucket.put(key, value, options)),
  putMany: (entries) => life.call(`put to ${bucket.bucket}`, () => bucket.putMany(entries)),
  delete: (key, options) => life.call(`delete from ${bucket.bucket}`, () => bucket.delete(key, options)),
  keys: (filter) => life.items(bucket.keys(filter)),
  watch: (options = {}) => {
    const { signal, release } = life.linked(options.signal);
    return life.items(bucket.watch({ ...options, signal }), { release });
  },
  watchTogether: (options = {}) => {
    const { signal, release } = life.linked(options.signal);
    return life.items(bucket.watchTogether({ ...options, signal }), { release });
  },
});

const mortalDelivery = (delivery: Delivery, consumer: string, life: Life): Delivery => ({
  entry: delivery.entry,
  attempt: delivery.attempt,
  pending: delivery.pending,
  ack: () => life.does(`acknowledge as ${consumer}`, () => delivery.ack()),
  retry: (delayMs) => life.does(`give back as ${consumer}`, () => delivery.retry(delayMs)),
  terminate: (reason) => life.does(`terminate as ${consumer}`, () => delivery.terminate(reason)),
  extend: () => life.does(`extend as ${consumer}`, () => delivery.extend()),
});

const mortalQueue = (queue: WorkQueue, life: Life): WorkQueue => ({
  stream: queue.stream,
  consumer: queue.consumer,
  batches: (options) => {
    const { signal, release } = life.linked(options.signal);
    return life.items(queue.batches({ ...options, signal }), {
      release,
      map: (batch) => batch.map((delivery) => mortalDelivery(delivery, queue.consumer, life)),
    });
  },
  backlog: () => life.call('backlog', () => queue.backlog()),
});

/** Its timers are gone with it. */
const mortalClock = (clock: Clock, life: Life): Clock => {
  const timer: Clock['timer'] = (delayMs, callback, options) => {
    if (life.isOver) return () => undefined;
    const ring = (): void => {
      forget();
      callback();
    };
    const cancel = clock.timer(delayMs, ring, options);
    const forget = life.atEnd(cancel);
    return () => {
      forget();
      cancel();
    };
  };
  return {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    timer,
    sleep: (delayMs, signal) =>
      new Promise((resolve) => {
        if (life.isOver) return;
        if (signal?.aborted === true) return resolve();
        const done = (): void => {
          cancel();
          signal?.removeEventListener('abort', done);
          if (!life.isOver) resolve();
        };
        const cancel = timer(delayMs, done);
        signal?.addEventListener('abort', done, { once: true });
      }),
  };
};

const mortalServer = (server: RequestServer, life: Life): RequestServer => ({
  serve: (subject, group, handler) => {
    const served = server.serve(subject, group, (message) =>
      life.call(`take a request`, () =>
        handler(message).then((answer) => life.call('answer a request', () => Promise.resolve(answer))),
      ),
    );
    life.atEnd(() => void served.stop());
    return { stop: () => life.call('stop serving', () => served.stop()) };
  },
  heard: () => life.outcome(server.heard()),
});

const mortalClient = (client: RequestClient, life: Life): RequestClient => ({
  request: (subject, body, options) => life.call('ask', () => client.request(subject, body, options)),
});

const mortalBlobs = (blobs: Blobs, life: Life): Blobs => ({
  put: (bytes) => life.call('put a body', () => blobs.put(bytes)),
  get: (digest) => life.call('get a body', () => blobs.get(digest)),
});

/** The same one for the same name. */
const once = <Value>(make: (name: string) => Value): ((name: string) => Value) => {
  const made = new Map<string, Value>();
  return (name) => {
    const value = made.get(name) ?? make(name);
    made.set(name, value);
    return value;
  };
};

/** Ports like these, of one process. */
export const createMortalPorts = (ports: Ports): MortalPorts => {
  const life = new Life();
  const queue = once((name) => {
    const [stream = '', consumer = ''] = name.split(' ');
    return mortalQueue(ports.queue(stream, consumer), life);
  });
  return {
    ports: {
      clock: mortalClock(ports.clock, life),
      ids: ports.ids,
      log: once((name) => mortalLog(ports.log(name), life)),
      bucket: once((name) => mortalBucket(ports.bucket(name), life)),
      queue: (stream, consumer) => queue(`${stream} ${consumer}`),
      requests: {
        client: mortalClient(ports.requests.client, life),
        server: mortalServer(ports.requests.server, life),
      },
      blobs: mortalBlobs(ports.blobs, life),
      publisher: () => ports.publisher(),
    },
    get isOver() {
      return life.isOver;
    },
    kill: () => life.end(),
    dieIn: (nth, half, onDeath) => life.doom({ left: nth, half, onDeath }),
  };
};
