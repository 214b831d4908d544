// Puts an object into an object store with the least of rights: it asks for the object's own entry, publishes the pieces and then
// the entry. (The client's own put reads by sequence, which a user would have to be allowed for everything in the store.)
// Pieces of a put that failed midway stay until the store's age limit takes them: without an entry nobody sees them.
import { createHash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import { nuid } from '@nats-io/transport-node';
import { askRaw, DEFAULT_PATIENCE } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { createEventLog } from './event-log.ts';
import { isStatus } from './raw-message.ts';

const CHUNK_BYTES = 128 * 1024;

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('base64').replaceAll('+', '-').replaceAll('/', '_');

/** Faults of the log port under the names of the blob port. */
const asBlobFault = (error: unknown): unknown =>
  error instanceof Fault && error.code.startsWith('LOG_')
    ? new Fault({
        code: `BLOBS_${error.code.slice('LOG_'.length)}`,
        retry: error.retry,
        message: error.message,
        detail: error.detail,
        cause: error,
      })
    : error;

export interface BlobWriter {
  /** Stores the bytes under this name unless an object of the name and size is there. Faults as libs/ports/blobs.ts. */
  put(name: string, bytes: Uint8Array): Promise<void>;
}

/** A writer to one object store. Nothing is sent until the first call. */
export const createBlobWriter = (connection: NatsConnectionHandle, bucket: string): BlobWriter => {
  const stream = `OBJ_${bucket}`;
  const log = createEventLog(connection, { stream, groupCommit: 'never' });

  const isThere = async (subject: string, size: number): Promise<boolean> => {
    const answer = await askRaw(connection, {
      family: 'BLOBS',
      what: `look for an object of ${bucket}`,
      subject: `$JS.API.DIRECT.GET.${stream}.${subject}`,
      body: '',
      patience: DEFAULT_PATIENCE,
    });
    // Not there, or nobody answers for the store: the put finds out.
    if (isStatus(answer)) return false;
    const entry = JSON.parse(answer.string()) as { readonly size?: number; readonly deleted?: boolean };
    return entry.deleted !== true && entry.size === size;
  };

  const publish = async (name: string, bytes: Uint8Array, subject: string): Promise<void> => {
    const id = nuid.next();
    const pieces: Promise<unknown>[] = [];
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
      pieces.push(
        log.append({
          subject: `$O.${bucket}.C.${id}`,
          id: `${id}:${at}`,
          headers: {},
          body: bytes.subarray(at, at + CHUNK_BYTES),
        }),
      );
    await Promise.all(pieces);
    const entry = {
      name,
      bucket,
      nuid: id,
      size: bytes.length,
      chunks: pieces.length,
      digest: `SHA-256=${base64(createHash('sha256').update(bytes).digest())}`,
      options: { max_chunk_size: CHUNK_BYTES },
    };
    await log.append({
      subject,
      id: `${id}:entry`,
      headers: { 'Nats-Rollup': 'sub' },
      body: Buffer.from(JSON.stringify(entry)),
    });
  };

  return {
    put: async (name, bytes) => {
      const subject = `$O.${bucket}.M.${base64(Buffer.from(name))}`;
      try {
        if (!(await isThere(subject, bytes.length))) await publish(name, bytes, subject);
      } catch (error) {
        throw asBlobFault(error);
      }
    },
  };
};
