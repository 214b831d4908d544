// The stream behind a bucket, for consumers and readers of it: the newest record of each key under `$KV.<bucket>.<key>`, its sequence the
// record's revision, markers told apart by the broker's headers. A mirror made when somebody first asks; it takes no appends of others.
import { invariant } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { BucketRecord, BucketStore } from './bucket-store.ts';
import { StreamStore } from './stream-store.ts';

const MARKERS: Readonly<Record<BucketRecord['kind'], Readonly<Record<string, string>>>> = {
  put: {},
  deleted: { 'KV-Operation': 'DEL' },
  expired: { 'Nats-Marker-Reason': 'MaxAge' },
};

/** The bucket whose stream has this name; undefined: it is no bucket's. */
export const bucketOfStream = (stream: string): string | undefined => /^KV_(.+)$/.exec(stream)?.[1];

/** Mirrors a bucket that has not been written to yet: sequences are revisions only from the first one on. */
export const streamOfBucket = (bucket: BucketStore, clock: Clock): StreamStore => {
  const { name } = bucket.shape;
  invariant(
    bucket.records().next().done === true,
    `bucket ${name} is read as a stream before its first write`,
  );
  const store = new StreamStore({ name: `KV_${name}`, subjects: [`$KV.${name}.>`] }, clock);
  bucket.watch(({ key, kind, value }) => {
    const subject = `$KV.${name}.${key}`;
    const before = store.last(subject)?.seq;
    store.storeOwn({ subject, headers: MARKERS[kind], body: value });
    if (before !== undefined) store.remove(before);
  });
  return store;
};
