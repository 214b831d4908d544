// Many writes to a bucket as one atomic batch of its stream: one sync of the disk for all of them. A refused batch has stored nothing;
// the broker does not say which write was the reason, so each is then sent alone and finds out for itself. One whose answer is lost may
// be stored, or be stored later: the single writes recognise what is theirs, and what expects another revision cannot be stored twice.
import type { PutOutcome } from '#libs/ports/key-value.ts';
import type { Msg } from '@nats-io/transport-node';
import { nuid } from '@nats-io/transport-node';
import { MAX_BATCH } from './commit-policy.ts';
import { batchHeaders } from './entry-wire.ts';
import { classifyAnswer } from './errors.ts';
import type { KeyChange } from './key-write.ts';
import { parseAck } from './publish-ack.ts';
import type { WriteContext } from './retried-publish.ts';
import type { ReplyHandler } from './reply-inbox.ts';
import { headerLine } from './wire-headers.ts';

/** The broker stages a batch before it commits it. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Of one message: the headers that a batch adds, and the subject. */
const OVERHEAD_BYTES = 512;

/** How a batch ended. `refused`: nothing of it is stored. `unclear`: all of it is, or will be, or nothing. */
export type KeyBatchEnd =
  | { readonly kind: 'stored'; readonly outcomes: readonly PutOutcome[] }
  | { readonly kind: 'refused' | 'unclear' | 'no-batches' };

/** Whether these writes can be one batch: each expects a revision of a key of its own, and together they are not too large. */
export const isBatchable = ({ connection }: WriteContext, changes: readonly KeyChange[]): boolean => {
  if (changes.length > MAX_BATCH || !connection.connected) return false;
  const most = connection.nc.info?.max_payload ?? 0;
  let bytes = 0;
  for (const { value, expectedRevision } of changes) {
    if (expectedRevision === undefined || value.byteLength + OVERHEAD_BYTES > most) return false;
    bytes += value.byteLength;
  }
  return bytes <= MAX_BATCH_BYTES && new Set(changes.map(({ subject }) => subject)).size === changes.length;
};

const linesOf = ({ expectedRevision, ttlSeconds }: KeyChange): string => {
  const expects = headerLine('Nats-Expected-Last-Subject-Sequence', expectedRevision ?? 0);
  return ttlSeconds === undefined ? expects : expects + headerLine('Nats-TTL', `${ttlSeconds}s`);
};

const endOf = (message: Msg, context: WriteContext, count: number): KeyBatchEnd => {
  const ack = parseAck(message);
  if (ack.kind === 'error') {
    const kind = classifyAnswer(ack.error);
    return { kind: kind === 'no-batches' ? 'no-batches' : kind === 'unavailable' ? 'unclear' : 'refused' };
  }
  if (ack.kind !== 'stored' || ack.stream !== context.stream) return { kind: 'refused' };
  const first = ack.seq - count + 1;
  return {
    kind: 'stored',
    outcomes: Array.from({ length: count }, (_, at) => ({ kind: 'stored', revision: first + at })),
  };
};

/** Sends the writes, which are batchable, as one batch; once. Never rejects. */
export const writeBatch = (context: WriteContext, changes: readonly KeyChange[]): Promise<KeyBatchEnd> =>
  new Promise((resolve) => {
    const handler: ReplyHandler = {
      onReply: (message) => {
        resolve(endOf(message, context, changes.length));
        return true;
      },
      onLost: () => resolve({ kind: 'unclear' }),
    };
    const { inbox } = context.connection;
    const batchId = nuid.next();
    const last = changes.length - 1;
    try {
      for (const [at, change] of changes.entries()) {
        const place = { batchId, position: at + 1, isLast: at === last };
        const headers = batchHeaders(linesOf(change), place);
        if (at < last) inbox.publish(change.subject, change.value, headers);
        else
          inbox.send(change.subject, change.value, headers, {
            timeoutMs: context.patience.attemptMs,
            handler,
          });
      }
    } catch {
      // The connection was closed: each write finds out for itself.
      resolve({ kind: 'unclear' });
    }
  });
