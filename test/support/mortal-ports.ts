// The ports of a process that can be killed at any point: from then on nothing that it called ever comes back, nothing that it calls is
// done, its timers do not ring, its subscriptions are gone and what it had in hand is neither acknowledged nor given back. A write that
// was under way may have been done: nobody will know.
import type { Clock } from '#libs/ports/clock.ts';
import type { RequestServer } from '#libs/ports/requests.ts';
import type { Ports } from '#libs/service/context.ts';

export interface MortalPorts {
  readonly ports: Ports;
  /** Ends the process as SIGKILL does. */
  kill(): void;
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

class Life {
  readonly over = new AbortController();

  get isOver(): boolean {
    return this.over.signal.aborted;
  }

  /** The outcome, unless the process has died meanwhile. */
  outcome<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(
        (value) => void (this.isOver || resolve(value)),
        (error: unknown) => void (this.isOver || reject(error)),
      );
    });
  }

  async *items<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const item of source) {
      if (this.isOver) await never();
      yield item;
      if (this.isOver) await never();
    }
    if (this.isOver) await never();
  }
}

/** Calls that go on until their signal aborts. */
const LASTING = new Set<PropertyKey>(['replay', 'watch', 'batches']);

const isPromise = (value: unknown): value is Promise<unknown> => value instanceof Promise;
const isIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

/** The same object for as long as the process lives. */
const mortal = <T extends object>(target: T, life: Life): T =>
  new Proxy(target, {
    get: (object, name) => {
      const member: unknown = Reflect.get(object, name, object);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]): unknown => {
        if (life.isOver) return name === 'ack' || name === 'retry' || name === 'extend' ? undefined : never();
        const [first, ...rest] = given;
        const options = (first ?? {}) as { readonly signal?: AbortSignal };
        const signal = AbortSignal.any([
          life.over.signal,
          ...(options.signal === undefined ? [] : [options.signal]),
        ]);
        const used = LASTING.has(name) ? [{ ...options, signal }, ...rest] : given;
        const result: unknown = Reflect.apply(member, object, used);
        if (isPromise(result)) return life.outcome(result);
        if (!isIterable(result)) return result;
        return name === 'batches'
          ? batches(result as AsyncIterable<readonly object[]>, life)
          : life.items(result);
      };
    },
  });

async function* batches(
  source: AsyncIterable<readonly object[]>,
  life: Life,
): AsyncGenerator<readonly object[]> {
  for await (const batch of life.items(source)) yield batch.map((delivery) => mortal(delivery, life));
}

const mortalClock = (clock: Clock, life: Life): Clock => ({
  now: () => clock.now(),
  monotonicMs: () => clock.monotonicMs(),
  timer: (delayMs, callback, options) =>
    clock.timer(delayMs, () => void (life.isOver || callback()), options),
  sleep: (delayMs, signal) => (life.isOver ? never() : life.outcome(clock.sleep(delayMs, signal))),
});

const mortalServer = (server: RequestServer, life: Life): RequestServer => ({
  serve: (subject, group, handler) => {
    const served = server.serve(subject, group, (message) =>
      life.isOver ? never() : life.outcome(handler(message)),
    );
    life.over.signal.addEventListener('abort', () => void served.stop(), { once: true });
    return { stop: () => (life.isOver ? never() : life.outcome(served.stop())) };
  },
});

/** Ports like these, of one process. */
export const createMortalPorts = (ports: Ports): MortalPorts => {
  const life = new Life();
  const once = <Value extends object>(make: (name: string) => Value): ((name: string) => Value) => {
    const made = new Map<string, Value>();
    return (name) => {
      const value = made.get(name) ?? mortal(make(name), life);
      made.set(name, value);
      return value;
    };
  };
  const queue = once((name) => {
    const [stream = '', consumer = ''] = name.split(' ');
    return ports.queue(stream, consumer);
  });
  return {
    ports: {
      clock: mortalClock(ports.clock, life),
      ids: ports.ids,
      log: once((name) => ports.log(name)),
      bucket: once((name) => ports.bucket(name)),
      queue: (stream, consumer) => queue(`${stream} ${consumer}`),
      requests: {
        client: mortal(ports.requests.client, life),
        server: mortalServer(ports.requests.server, life),
      },
      blobs: mortal(ports.blobs, life),
      publisher: () => ports.publisher(),
    },
    kill: () => life.over.abort(),
  };
};
