// What the outcomes of a batch make of its records: gone, tried again, or parked. Pure.
import { MAX_ATTEMPTS } from './backoff.policy.ts';
import type { BufferedRecord, Refusal, SendOutcome } from './outbox.ts';

interface RefusedRecord {
  readonly record: BufferedRecord;
  readonly refusal: Refusal;
}

export interface Verdict {
  readonly delivered: readonly BufferedRecord[];
  /** To be tried again. */
  readonly refused: readonly RefusedRecord[];
  /** Refused for good. */
  readonly parked: readonly RefusedRecord[];
  /** To be sent again as they are. */
  readonly kept: readonly BufferedRecord[];
  /** Why nobody can say what became of some; undefined: the other side answered. */
  readonly unreachable: string | undefined;
}

/** `outcomes` are those of `batch`, in its order. */
export const verdictOf = (batch: readonly BufferedRecord[], outcomes: readonly SendOutcome[]): Verdict => {
  const delivered: BufferedRecord[] = [];
  const refused: RefusedRecord[] = [];
  const parked: RefusedRecord[] = [];
  const kept: BufferedRecord[] = [];
  let unreachable: string | undefined;
  batch.forEach((record, at) => {
    const outcome = outcomes[at];
    if (outcome?.kind === 'delivered') delivered.push(record);
    if (outcome?.kind === 'unreachable') unreachable ??= outcome.message;
    if (outcome?.kind === 'unreachable' || outcome?.kind === 'held') kept.push(record);
    if (outcome?.kind !== 'refused') return;
    const { code, message } = outcome;
    const refusal = { code, message, attempts: record.attempts + 1 };
    (refusal.attempts >= MAX_ATTEMPTS ? parked : refused).push({ record, refusal });
  });
  return { delivered, refused, parked, kept, unreachable };
};
