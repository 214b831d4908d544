// What the contract of buckets asks of whoever runs it, and how its tests write and read values.
import { unreachable } from '#libs/kernel/invariant.ts';
import type { KeyValue, KeyValueEntry, WatchEvent } from '#libs/ports/key-value.ts';

export interface BucketHarness {
  /** A bucket of its own, never written to, declared with markers and a history of 1. */
  readonly kv: KeyValue;
  /**
   * Time passes. A manual clock is advanced; on a real broker this does nothing, because every test goes on to wait for
   * the fact that time brings about.
   */
  readonly advance: (ms: number) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

/** Makes a harness. Called once per test. */
export type MakeBucket = () => Promise<BucketHarness>;

/** Runs a test on a harness of its own. */
export const withBucket =
  (make: MakeBucket, body: (harness: BucketHarness) => Promise<void>): (() => Promise<void>) =>
  async () => {
    const harness = await make();
    try {
      await body(harness);
    } finally {
      await harness.dispose();
    }
  };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const bytes = (text: string): Uint8Array => encoder.encode(text);
export const text = (entry: KeyValueEntry | undefined): string | undefined =>
  entry === undefined ? undefined : decoder.decode(entry.value);

/** An event in one line: `a=1`, `a deleted`, `a expired`, `current`. */
export const line = (event: WatchEvent): string => {
  switch (event.kind) {
    case 'put':
      return `${event.entry.key}=${decoder.decode(event.entry.value)}`;
    case 'deleted':
    case 'expired':
      return `${event.key} ${event.kind}`;
    case 'current':
      return event.kind;
    default:
      return unreachable(event);
  }
};

/** Writes without expectation and gives the revision. */
export const write = async (kv: KeyValue, key: string, value: string): Promise<number> => {
  const outcome = await kv.put(key, bytes(value));
  if (outcome.kind !== 'stored') throw new Error(`a put without expectation conflicted: ${key}`);
  return outcome.revision;
};
