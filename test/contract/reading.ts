// How the contract suites read streams of things that have no end: step by step, or so many and no more.
import { expect } from 'vitest';

/** Reads one at a time. */
export interface Reader<T> {
  /** The next one; fails the test when there is none. */
  next(): Promise<T>;
  /** True when it has ended; fails the test when one more comes. */
  ended(): Promise<boolean>;
  close(): Promise<void>;
}

export const readerOf = <T>(source: AsyncIterable<T>): Reader<T> => {
  const iterator = source[Symbol.asyncIterator]();
  return {
    next: async () => {
      const step = await iterator.next();
      if (step.done === true) return expect.unreachable('ended before the next one came');
      return step.value;
    },
    ended: async () => {
      const step = await iterator.next();
      if (step.done !== true) return expect.unreachable(`one more came: ${JSON.stringify(step.value)}`);
      return true;
    },
    close: async () => {
      await iterator.return?.();
    },
  };
};

/** All of a source that ends. */
export const all = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const taken: T[] = [];
  for await (const one of source) taken.push(one);
  return taken;
};

/** The first `count`, then the source is closed. */
export const first = async <T>(source: AsyncIterable<T>, count: number): Promise<T[]> => {
  const taken: T[] = [];
  if (count === 0) return taken;
  for await (const one of source) {
    taken.push(one);
    if (taken.length === count) break;
  }
  return taken;
};

/** Fails unless `work` throws a fault of this code and retry class. */
export const expectFault = async (
  work: () => Promise<unknown>,
  code: string,
  retry: 'now' | 'later' | 'never',
): Promise<void> => {
  await expect(work()).rejects.toMatchObject({ name: 'Fault', code, retry });
};
