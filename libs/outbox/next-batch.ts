// The records that are sent next: from the front of what waits and is on disk. What cannot be read is set aside on the way.
import { takeBatch, type BatchLimits } from './batch.policy.ts';
import type { BufferedRecord, OutboxEvent } from './outbox.ts';
import type { Store } from './store.ts';

interface BatchSource {
  readonly store: Store;
  readonly limits: BatchLimits;
  readonly observe: (event: OutboxEvent) => void;
}

/** None of it is in one of `waitingLanes`; empty: there is nothing to send. */
export const nextBatch = (
  { store, limits, observe }: BatchSource,
  waitingLanes: readonly string[],
): readonly BufferedRecord[] => {
  store.setWaitingLanes(waitingLanes);
  const unreadable: { sourceSeq: number; problem: string }[] = [];
  const { syncedSeq } = store;
  const readable = function* (): Generator<BufferedRecord> {
    for (const reading of store.pending(waitingLanes)) {
      // A number that the other side has must be on disk here: after a power cut it would be given again.
      if (reading.ok && reading.record.sourceSeq >= syncedSeq) return;
      if (reading.ok) yield reading.record;
      else unreadable.push(reading);
    }
  };
  const batch = takeBatch(readable(), limits);
  for (const { sourceSeq, problem } of unreadable) {
    store.parking.parkUnreadable(sourceSeq, problem);
    observe({ kind: 'unreadable-row', sourceSeq, problem });
  }
  return batch;
};
