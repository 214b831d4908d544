// All-or-nothing append of several entries, by the broker's batch headers written by hand: one round trip, and the broker's
// real error (the client's own batch hides it). Retries with the same ids until the deadline; tells the retry of a batch
// that had been stored from a conflict.
import type { BatchOutcome, NewEntry } from '#libs/ports/event-log.ts';
import type { Msg } from '@nats-io/transport-node';
import { nuid } from '@nats-io/transport-node';
import { locateBatch } from './batch-lookup.ts';
import { batchHeaders, checkSize, entryLines, refused } from './entry-wire.ts';
import { explainUnserved } from './explain-unserved.ts';
import { answerFault, type BrokerError, classifyAnswer, portFault, thrownFault } from './errors.ts';
import type { WriteContext } from './retried-publish.ts';
import { parseAck } from './publish-ack.ts';
import { lastSequence } from './reconcile.ts';
import { LostReply } from './reply-inbox.ts';

const BUSY_MS = 5;
const AWAY_MS = 100;
/** A batch whose commit was not answered may still be on its way into the stream when its ids are already taken. */
const SETTLE_MS = 100;

/** After so many looks an id that is taken without an entry belongs to one that was deleted, or to another subject. */
const MOST_TAKEN = 20;
const TAKEN = 'an id of the batch is taken, but its entry is not there';

/** Sends the batch once. Resolves with the answer to its commit. */
const sendBatch = (context: WriteContext, entries: readonly NewEntry[]): Promise<Msg> => {
  const { patience, connection } = context;
  const { inbox } = connection;
  const most = connection.nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
  const lines = entries.map((entry) => {
    const text = entryLines(entry);
    checkSize(text, entry.body, most);
    return text;
  });
  const batchId = nuid.next();
  const last = entries.length - 1;
  for (const [at, entry] of entries.entries()) {
    const headers = batchHeaders(lines[at] ?? '', { batchId, position: at + 1, isLast: at === last });
    if (at === last) return inbox.request(entry.subject, entry.body, patience.attemptMs, headers);
    inbox.publish(entry.subject, entry.body, headers);
  }
  throw refused('a batch has at least one entry');
};

/** The first expectation that does not hold now, if any. */
const findConflict = async (
  context: WriteContext,
  entries: readonly NewEntry[],
): Promise<BatchOutcome | undefined> => {
  const expecting = entries.filter((entry) => entry.expectedSeq !== undefined);
  const actual = await Promise.all(expecting.map((entry) => lastSequence(context, entry.subject)));
  for (const [at, { subject, expectedSeq = 0 }] of expecting.entries()) {
    const actualSeq = actual[at] ?? 0;
    if (actualSeq !== expectedSeq) return { kind: 'conflict', subject, expectedSeq, actualSeq };
  }
  return undefined;
};

/** What an answer leads to: an outcome, or another attempt after a while. */
type Next =
  | { readonly outcome: BatchOutcome }
  | { readonly afterMs: number; readonly because: string; readonly isTaken?: boolean };

const settleRefused = async (
  context: WriteContext,
  entries: readonly NewEntry[],
  isDuplicate: boolean,
): Promise<Next> => {
  const found = await locateBatch(context, entries);
  if (found.kind === 'stored') return { outcome: { kind: 'appended', seqs: found.seqs, duplicate: true } };
  if (found.kind === 'partly')
    throw refused(`some of these entries were stored before, but not as this batch: append them one by one`);
  const conflict = await findConflict(context, entries);
  if (conflict !== undefined) return { outcome: conflict };
  return isDuplicate
    ? { afterMs: SETTLE_MS, because: TAKEN, isTaken: true }
    : { afterMs: BUSY_MS, because: 'another write is under way' };
};

const onError = async (
  context: WriteContext,
  entries: readonly NewEntry[],
  error: BrokerError,
): Promise<Next> => {
  const because = error.description ?? 'the broker refused';
  const kind = classifyAnswer(error);
  if (kind === 'conflict' || kind === 'duplicate-in-batch')
    return settleRefused(context, entries, kind === 'duplicate-in-batch');
  if (kind === 'busy') return { afterMs: BUSY_MS, because };
  if (kind === 'batch-lost') {
    const forbidden = entries.find(({ subject }) => context.connection.inbox.isForbidden(subject));
    if (forbidden !== undefined) throw refused(`no permission to publish to ${forbidden.subject}`);
  }
  if (kind === 'unavailable' || kind === 'batch-lost') return { afterMs: AWAY_MS, because };
  throw answerFault('LOG', `batch of ${entries.length}`, error);
};

const interpret = async (
  context: WriteContext,
  entries: readonly NewEntry[],
  message: Msg,
): Promise<Next> => {
  const ack = parseAck(message);
  if (ack.kind === 'stored') {
    if (ack.stream !== context.stream) throw refused(`the batch belongs to stream ${ack.stream}`);
    const first = ack.seq - entries.length + 1;
    return { outcome: { kind: 'appended', seqs: entries.map((_, at) => first + at), duplicate: false } };
  }
  if (ack.kind === 'error') return onError(context, entries, ack.error);
  for (const { subject } of entries) {
    const fault = await explainUnserved(context, subject).catch(() => undefined);
    if (fault !== undefined) throw fault;
  }
  return { afterMs: AWAY_MS, because: 'the stream has no leader' };
};

const attempt = async (context: WriteContext, entries: readonly NewEntry[]): Promise<Next> => {
  try {
    return await interpret(context, entries, await sendBatch(context, entries));
  } catch (error) {
    if (error instanceof LostReply && (error.reason === 'timeout' || error.reason === 'disconnected'))
      return { afterMs: 0, because: error.message };
    throw thrownFault('LOG', `batch of ${entries.length}`, error);
  }
};

/** Appends all or nothing. The entries have been checked, and nothing else is under way on their subjects here. */
export const appendAtomically = async (
  context: WriteContext,
  entries: readonly NewEntry[],
): Promise<BatchOutcome> => {
  const { connection, patience } = context;
  const { clock } = connection;
  const deadline = clock.monotonicMs() + patience.withinMs;
  let because = 'the broker is away';
  let taken = 0;
  for (;;) {
    const leftMs = deadline - clock.monotonicMs();
    if (leftMs <= 0 || !(await connection.whenConnected({ withinMs: leftMs })))
      throw portFault(
        'LOG',
        'UNAVAILABLE',
        `batch of ${entries.length}: ${because}; it may or may not be stored, retry with the same ids`,
      );
    const next = await attempt(context, entries);
    if ('outcome' in next) return next.outcome;
    because = next.because;
    if (next.isTaken === true) taken += 1;
    if (taken > MOST_TAKEN) throw refused(`batch of ${entries.length}: ${TAKEN}`);
    if (next.afterMs > 0) await clock.sleep(next.afterMs);
  }
};
