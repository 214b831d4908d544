// An entry of a stream as the API shows it, and what of it steers a feed: whose it is, and whether it ends its run. Pure.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { decodeEnvelope } from '#streams/envelope.ts';
import { parseJson } from '#streams/entry.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { parseSubject } from '#streams/subjects.ts';

/** The streams of a feed: what was decided, and what was reported. */
export type FeedStream = 'TRANSITIONS' | 'EVENTS';

/** An entry on its way to readers. */
export interface FeedItem {
  readonly stream: FeedStream;
  readonly seq: number;
  readonly subject: string;
  readonly storedAt: number;
  /** About how much memory it holds. */
  readonly bytes: number;
  /** What the entry belongs to: the run, for transitions and reports alike; undefined when it belongs to none. */
  readonly runId: string | undefined;
  /** True for the transition that ends its run. */
  readonly endsRun: boolean;
  /** The shown form without its cursor, as JSON. */
  json(): string;
  /** The same as UTF-8, made once for all who show it. From then on this is what is held: an entry holds all that came with it from the broker. */
  utf8(): Uint8Array;
}

/** The run of an entry: of a transition by its subject, of a report by its correlation. */
const runIdOf = (entry: StoredEntry): string | undefined => {
  const place = parseSubject(entry.subject);
  if (place?.kind === 'aggregate') return place.family === 'run' ? place.id : undefined;
  return entry.headers['Fleet-Correlation'];
};

const ENDING = new Set([
  'fleetlog.run.completed.v1',
  'fleetlog.run.blocked.v1',
  'fleetlog.run.failed.v1',
  'fleetlog.run.cancelled.v1',
  'fleetlog.run.lease-expired.v1',
]);

const endsRun = (entry: StoredEntry): boolean => {
  if (!ENDING.has(entry.headers['ce-type'] ?? '')) return false;
  const reading = decodeRunEvent(entry);
  if (reading.kind !== 'known') return false;
  return reading.event.type !== 'fleetlog.run.lease-expired.v1' || reading.event.next !== 'queued';
};

const shown = (stream: FeedStream, entry: StoredEntry): Record<string, unknown> => {
  const { seq, subject, storedAt } = entry;
  const data = parseJson(entry.body);
  const reading = decodeEnvelope(entry.headers);
  // Also an entry that breaks the contract is shown: a feed that hides it would not be a record.
  if (!reading.ok) return { stream, seq, subject, storedAt, problem: reading.problem, data };
  const { id, type, source, actor, timeMs, fence, sourceSeq, causation, dataref } = reading.envelope;
  return {
    stream,
    seq,
    type,
    id,
    subject,
    source,
    actor,
    occurredAt: timeMs,
    storedAt,
    ...(fence !== undefined && { fence }),
    ...(sourceSeq !== undefined && { sourceSeq }),
    ...(causation !== undefined && { causation }),
    ...(dataref !== undefined && { dataref }),
    data,
  };
};

/** Of an item beside the body of its entry. */
const OTHER_BYTES = 600;

/** Wraps an entry. */
export const feedItem = (stream: FeedStream, entry: StoredEntry): FeedItem => {
  let held: { readonly entry: StoredEntry } | { readonly utf8: Buffer } = { entry };
  const jsonOf = (one: StoredEntry): string => JSON.stringify(shown(stream, one));
  return {
    stream,
    seq: entry.seq,
    subject: entry.subject,
    storedAt: entry.storedAt,
    bytes: entry.body.byteLength + OTHER_BYTES,
    runId: runIdOf(entry),
    endsRun: stream === 'TRANSITIONS' && endsRun(entry),
    json: () => ('entry' in held ? jsonOf(held.entry) : held.utf8.toString()),
    utf8: () => {
      if ('entry' in held) held = { utf8: Buffer.from(jsonOf(held.entry)) };
      return held.utf8;
    },
  };
};
