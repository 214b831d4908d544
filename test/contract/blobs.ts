// The contract of blobs, one suite for every implementation: bind it with
//   blobsContract('memory', () => makeHarness());
// in a test file.
import type { Blobs } from '#libs/ports/blobs.ts';
import { describe, expect, it } from 'vitest';

interface BlobsHarness {
  /** An object store that holds nothing. */
  readonly blobs: Blobs;
  readonly dispose: () => Promise<void>;
}

/** Makes a harness. Called once per test. */
export type MakeBlobs = () => Promise<BlobsHarness>;

/** SHA-256 of no bytes, and of "abc" (FIPS 180-2). */
const EMPTY = 'sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const ABC = 'sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

const withBlobs =
  (make: MakeBlobs, body: (blobs: Blobs) => Promise<void>): (() => Promise<void>) =>
  async () => {
    const harness = await make();
    try {
      await body(harness.blobs);
    } finally {
      await harness.dispose();
    }
  };

export const blobsContract = (name: string, make: MakeBlobs): void => {
  describe(`blobs: ${name}`, { timeout: 30_000 }, () => {
    it(
      'stores bytes under their digest and gives them back',
      withBlobs(make, async (blobs) => {
        expect(await blobs.put(new TextEncoder().encode('abc'))).toBe(ABC);
        expect(new TextDecoder().decode(await blobs.get(ABC))).toBe('abc');
        expect(await blobs.put(new Uint8Array())).toBe(EMPTY);
        expect(await blobs.get(EMPTY)).toHaveLength(0);
      }),
    );

    it(
      'gives every byte of a body of many chunks back',
      withBlobs(make, async (blobs) => {
        const bytes = Uint8Array.from({ length: 1_500_000 }, (_, n) => (n * 7 + (n >> 8)) % 256);
        const got = await blobs.get(await blobs.put(bytes));
        expect(got).toHaveLength(bytes.length);
        expect(Uint8Array.from(got ?? [])).toEqual(bytes);
      }),
    );

    it(
      'takes the same bytes again, one after another and at the same time',
      withBlobs(make, async (blobs) => {
        const bytes = new TextEncoder().encode('abc');
        await blobs.put(bytes);
        const digests = await Promise.all(Array.from({ length: 5 }, () => blobs.put(bytes)));
        expect(new Set(digests)).toEqual(new Set([ABC]));
        expect(new TextDecoder().decode(await blobs.get(ABC))).toBe('abc');
      }),
    );

    it(
      'has nothing under a digest that was never stored, or under what is no digest',
      withBlobs(make, async (blobs) => {
        expect(await blobs.get(ABC)).toBeUndefined();
        for (const text of ['', 'no-digest', ABC.slice(0, -1), ABC.toUpperCase()])
          expect(await blobs.get(text), text).toBeUndefined();
      }),
    );
  });
};
