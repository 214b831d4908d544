// Ports with one thing wrong in them, each a defect that a fleet could have: a simulation that does not notice it is worth nothing.
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Ports } from '#libs/service/context.ts';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The summary of a task forgets who had its attempts. */
export const withForgetfulSummaries = (ports: Ports): Ports => {
  const forget = (value: Uint8Array): Uint8Array =>
    encoder.encode(decoder.decode(value).replace(/"agent":"a\d"/g, '"agent":""'));
  const forgetful = (bucket: KeyValue): KeyValue => ({
    ...bucket,
    put: (key, value, options) => bucket.put(key, forget(value), options),
    putMany: (entries) => bucket.putMany(entries.map((entry) => ({ ...entry, value: forget(entry.value) }))),
  });
  return {
    ...ports,
    bucket: (name) => (name === 'tasks' ? forgetful(ports.bucket(name)) : ports.bucket(name)),
  };
};

/** Nobody learns that a lease is over: neither by the watch nor by looking. */
export const withoutExpiry = (ports: Ports): Ports => {
  const blind = (bucket: KeyValue): KeyValue => ({
    ...bucket,
    watch: async function* watch(options) {
      for await (const event of bucket.watch(options)) if (event.kind !== 'expired') yield event;
    },
    getMany: async (keys) => {
      const found = new Map(await bucket.getMany(keys));
      for (const key of keys)
        if (!found.has(key)) found.set(key, { key, value: new Uint8Array(), revision: 1, writtenAt: 0 });
      return found;
    },
  });
  return { ...ports, bucket: (name) => (name === 'leases' ? blind(ports.bucket(name)) : ports.bucket(name)) };
};
