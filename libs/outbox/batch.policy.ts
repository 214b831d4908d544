// Which records travel together. Pure.
import type { BufferedRecord } from './outbox.ts';

export interface BatchLimits {
  readonly rows: number;
  readonly bytes: number;
}

/**
 * The first records of `pending` (in delivery order) that may be sent as one batch: at least one if there is any. A record
 * that was refused before travels alone, so that it cannot spoil the batch of others again and again.
 */
export const takeBatch = (
  pending: Iterable<BufferedRecord>,
  limits: BatchLimits,
): readonly BufferedRecord[] => {
  const batch: BufferedRecord[] = [];
  let bytes = 0;
  for (const record of pending) {
    if (record.attempts > 0) return batch.length === 0 ? [record] : batch;
    if (batch.length > 0 && bytes + record.body.byteLength > limits.bytes) return batch;
    batch.push(record);
    bytes += record.body.byteLength;
    if (batch.length === limits.rows) return batch;
  }
  return batch;
};
