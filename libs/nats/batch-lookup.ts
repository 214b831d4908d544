// Finds a batch that was stored before. A batch is contiguous, so one entry of it tells where all the others must be.
// Reads only. What it cannot find: a batch whose entries carry no expectation, all of whose subjects have got later
// entries since, and that lies further back than the look-back.
import type { NewEntry } from '#libs/ports/event-log.ts';
import { readDirect } from './direct-read.ts';
import { readFromLeader } from './leader-read.ts';
import type { WriteContext } from './retried-publish.ts';
import { storedAtExpectation } from './reconcile.ts';

/** `partly`: an entry with one of the ids is there, but not as part of this batch. */
export type BatchLookup =
  | { readonly kind: 'stored'; readonly seqs: readonly number[] }
  | { readonly kind: 'partly' | 'absent' };

const MAX_PROBES = 16;
const LOOK_BACK_ENTRIES = 10_000;
const MSG_ID = 'Nats-Msg-Id';

/** Where one entry of the batch is: its place in the batch, and its sequence. */
interface Found {
  readonly at: number;
  readonly seq: number;
}

const leaderQuery = (
  context: WriteContext,
  query: { readonly last_by_subj: string } | { readonly seq: number },
): ReturnType<typeof readFromLeader> =>
  readFromLeader(context.connection, {
    family: 'LOG',
    stream: context.stream,
    patience: context.patience,
    query,
  });

/** The last entry of each subject: enough while nobody else has appended to all of them. */
const findLast = async (context: WriteContext, entries: readonly NewEntry[]): Promise<Found | undefined> => {
  const places = new Map(entries.map(({ id }, at) => [id, at]));
  const subjects = [...new Set(entries.map(({ subject }) => subject))].slice(-MAX_PROBES).toReversed();
  for (const subject of subjects) {
    const last = await leaderQuery(context, { last_by_subj: subject });
    const at = places.get(last?.headers[MSG_ID] ?? '');
    if (last !== undefined && at !== undefined) return { at, seq: last.seq };
  }
  return undefined;
};

/** The recent entries of the first subject. */
const findRecent = async (
  context: WriteContext,
  entries: readonly NewEntry[],
): Promise<Found | undefined> => {
  const [first] = entries;
  if (first === undefined) return undefined;
  const last = await leaderQuery(context, { last_by_subj: first.subject });
  if (last === undefined) return undefined;
  const from = Math.max(1, last.seq - LOOK_BACK_ENTRIES);
  for await (const entry of readDirect(context, first.subject, from))
    if (entry.headers[MSG_ID] === first.id) return { at: 0, seq: entry.seq };
  return undefined;
};

const verify = async (
  context: WriteContext,
  entries: readonly NewEntry[],
  found: Found,
): Promise<BatchLookup> => {
  const firstSeq = found.seq - found.at;
  const ends = [0, entries.length - 1];
  for (const at of ends) {
    if (firstSeq + at < 1) return { kind: 'partly' };
    const entry = await leaderQuery(context, { seq: firstSeq + at });
    if (entry?.headers[MSG_ID] !== entries[at]?.id) return { kind: 'partly' };
  }
  return { kind: 'stored', seqs: entries.map((_, at) => firstSeq + at) };
};

/** Looks for the entries as one stored batch. */
export const locateBatch = async (
  context: WriteContext,
  entries: readonly NewEntry[],
): Promise<BatchLookup> => {
  const at = entries.findIndex((entry) => entry.expectedSeq !== undefined);
  const expecting = entries[at];
  if (expecting !== undefined) {
    // All or nothing: if this one is not at its expectation, the batch is not stored.
    const seq = await storedAtExpectation(context, expecting);
    return seq === undefined ? { kind: 'absent' } : verify(context, entries, { at, seq });
  }
  const found = (await findLast(context, entries)) ?? (await findRecent(context, entries));
  return found === undefined ? { kind: 'absent' } : verify(context, entries, found);
};
