// Tells an append that had already succeeded from a conflict. One server checks the expectation before the id, a cluster
// the id first: the same retry is answered "wrong last sequence" by one and "duplicate" by the other.
//
// An append at expected sequence E succeeded if, and only if, it is the first entry of its subject after E. So one lookup
// settles it, whatever was appended since, and without trusting the dedup window, as long as that entry is still stored
// (aggregate streams delete nothing; in a stream with limits an append older than these is reported as a conflict).
import type { AppendOutcome, NewEntry } from '#libs/ports/event-log.ts';
import type { Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { readFromLeader } from './leader-read.ts';

export interface ReconcileParts {
  readonly connection: NatsConnectionHandle;
  readonly stream: string;
  readonly patience: Patience;
}

/** The sequence under which `entry` was stored at its expectation, if it was. */
export const storedAtExpectation = async (
  parts: ReconcileParts,
  entry: NewEntry,
): Promise<number | undefined> => {
  const { connection, stream, patience } = parts;
  const next = await readFromLeader(connection, {
    family: 'LOG',
    stream,
    patience,
    query: { next_by_subj: entry.subject, seq: (entry.expectedSeq ?? 0) + 1 },
  });
  return next?.headers['Nats-Msg-Id'] === entry.id ? next.seq : undefined;
};

/** The sequence of the last entry of a subject; 0 when there is none. */
export const lastSequence = async (parts: ReconcileParts, subject: string): Promise<number> => {
  const { connection, stream, patience } = parts;
  const last = await readFromLeader(connection, {
    family: 'LOG',
    stream,
    patience,
    query: { last_by_subj: subject },
  });
  return last?.seq ?? 0;
};

/** What a refused expectation really was. `actualSeq` as the broker named it, if it did. */
export const reconcile = async (
  parts: ReconcileParts,
  entry: NewEntry,
  actualSeq: number | undefined,
): Promise<AppendOutcome> => {
  const { subject, expectedSeq = 0 } = entry;
  // With nothing after the expectation there is nothing of ours to find.
  if (actualSeq === undefined || actualSeq > expectedSeq) {
    const seq = await storedAtExpectation(parts, entry);
    if (seq !== undefined) return { kind: 'appended', seq, duplicate: true };
  }
  return {
    kind: 'conflict',
    subject,
    expectedSeq,
    actualSeq: actualSeq ?? (await lastSequence(parts, subject)),
  };
};
