// The blob port on a JetStream object store (readable by `nats object`): the name of an object is the SHA-256 of its bytes,
// so nothing is ever overwritten by something else. Objects are not deleted here; their store's age limit does that.
import { createHash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import type { Blobs } from '#libs/ports/blobs.ts';
import { jetstream } from '@nats-io/jetstream';
import { type ObjectStore, Objm } from '@nats-io/obj';
import { createBlobWriter } from './blob-writer.ts';
import { askApi, DEFAULT_PATIENCE } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { classifyAnswer, portFault, thrownFault } from './errors.ts';

const DIGEST = /^sha256-[0-9a-f]{64}$/;
const OPERATION_MS = 10_000;

const digestOf = (bytes: Uint8Array): string => `sha256-${createHash('sha256').update(bytes).digest('hex')}`;

const damaged = (bucket: string, what: string, cause?: unknown): Fault =>
  new Fault({
    code: 'BLOBS_DAMAGED',
    retry: 'never',
    message: `store ${bucket}: ${what}: the bytes are not those that were stored`,
    ...(cause === undefined ? {} : { cause }),
  });

const checkProvisioned = async (connection: NatsConnectionHandle, bucket: string): Promise<void> => {
  const answer = await askApi(connection, {
    family: 'BLOBS',
    what: `look at object store ${bucket}`,
    subject: `$JS.API.STREAM.INFO.OBJ_${bucket}`,
    body: '',
    patience: DEFAULT_PATIENCE,
  });
  if (answer.kind === 'error' && classifyAnswer(answer.error) === 'stream-missing')
    throw portFault('BLOBS', 'MISSING', `object store ${bucket} is not provisioned`);
};

/** Opens an object store. Nothing is sent until the first call. Besides the port's faults: `BLOBS_DAMAGED` (never). */
export const openBlobs = (connection: NatsConnectionHandle, options: { readonly bucket: string }): Blobs => {
  const { bucket } = options;
  const writer = createBlobWriter(connection, bucket);
  let opened: Promise<ObjectStore> | undefined;
  const open = (): Promise<ObjectStore> => {
    opened ??= checkProvisioned(connection, bucket)
      // A client of its own: it changes the options object that it is given.
      .then(() => new Objm(jetstream(connection.nc, { timeout: OPERATION_MS })).open(bucket))
      .catch((error: unknown) => {
        opened = undefined;
        throw error;
      });
    return opened;
  };
  const withStore = async <T>(what: string, work: (store: ObjectStore) => Promise<T>): Promise<T> => {
    if (!(await connection.whenConnected({ withinMs: OPERATION_MS })))
      throw portFault('BLOBS', 'UNAVAILABLE', `${what}: the broker is away`);
    try {
      return await work(await open());
    } catch (error) {
      // The client compares the bytes with the digest that the store noted beside them.
      if (error instanceof Error && /corrupt|digest/i.test(error.message)) throw damaged(bucket, what, error);
      throw thrownFault('BLOBS', what, error);
    }
  };
  return {
    put: async (bytes) => {
      const digest = digestOf(bytes);
      await writer.put(digest, bytes);
      return digest;
    },
    get: async (digest) => {
      if (!DIGEST.test(digest)) return undefined;
      const bytes = await withStore(`read ${digest}`, (store) => store.getBlob(digest));
      if (bytes === null) return undefined;
      if (digestOf(bytes) !== digest) throw damaged(bucket, digest);
      return bytes;
    },
  };
};
