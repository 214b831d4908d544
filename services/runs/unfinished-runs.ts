// Which runs have not ended, kept in memory: where the sweeps look for lost leases and instructions. Read from the bucket `runs` once, then
// from the log, which this process follows anyway; so it is ahead of the bucket, never behind. Holds nothing of ended runs.
// A hint only: nothing is decided from it. After a fault it begins again.
import { readPosition } from '#libs/projections/position.ts';
import { aborted } from '#libs/service/aborted.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { runViewSchema } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { aggregateFilter, type Boundary } from '#streams/subjects.ts';
import { UnfinishedIndex, type AgentRun, type UnfinishedRun } from './unfinished-runs.view.ts';

export interface UnfinishedRuns {
  /** Keeps the index until the signal aborts. Throws the faults of log and bucket. */
  watch(signal: AbortSignal): Promise<void>;
  /** Resolves when the runs that were there at the start are known. */
  readonly ready: Promise<void>;
  /** Runs that a runner seems to hold. */
  held(): readonly AgentRun[];
  /** Runs that seem to wait for a runner. */
  queued(): readonly UnfinishedRun[];
  /** Runs that seem to have an open question whose time is over at `now`, epoch ms. */
  overdue(now: number): readonly UnfinishedRun[];
  /** All runs of an agent. */
  ofAgent(boundary: Boundary, agent: string): readonly AgentRun[];
  readonly size: number;
}

/** Calls `look` once the runs are known, and again and again after `everyMs`, until the signal aborts. Throws what it throws. */
export const nowAndThen = async (
  {
    unfinished,
    clock,
    everyMs,
    signal,
  }: {
    readonly unfinished: UnfinishedRuns;
    readonly clock: Clock;
    readonly everyMs: number;
    readonly signal: AbortSignal;
  },
  look: () => Promise<void>,
): Promise<void> => {
  // Stopped before the runs were known: nothing else would end the waiting.
  await Promise.race([unfinished.ready, aborted(signal)]);
  while (!signal.aborted) {
    await look();
    await clock.sleep(everyMs, signal);
  }
};

const indexedSchema = runViewSchema.pick({
  seq: true,
  tenant: true,
  project: true,
  runId: true,
  agent: true,
  createdAt: true,
  state: true,
  runnerId: true,
  openApprovals: true,
  updatedAt: true,
});

/** As a summary of a run that goes on is written; what lacks it has ended, or is no summary, and need not be read. */
const GOES_ON = Buffer.from('"endedAt":null');

/** The runs of the bucket that go on, and the sequence from which the log knows more. Faults: those of log and bucket. */
const restore = async (
  { log, kv }: { readonly log: EventLog; readonly kv: KeyValue },
  signal: AbortSignal,
): Promise<{ readonly index: UnfinishedIndex; readonly fromSeq: number }> => {
  // Before the values: each reflects at least this much.
  const { position } = await readPosition(kv);
  const { lastSeq } = await log.bounds();
  const index = new UnfinishedIndex();
  for await (const events of kv.watchTogether({ signal, borrowsValues: true })) {
    for (const event of events) {
      if (event.kind === 'current') return { index, fromSeq: Math.min(position?.seq ?? 0, lastSeq) + 1 };
      if (event.kind !== 'put') continue;
      const { value } = event.entry;
      if (!Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(GOES_ON)) continue;
      const parsed = indexedSchema.safeParse(parseJson(value));
      if (parsed.success) index.restore(parsed.data, lastSeq);
    }
  }
  return { index, fromSeq: lastSeq + 1 };
};

/** What cannot be read is passed over, as every fold does; the projection tells of it. */
const applyEntry = (index: UnfinishedIndex, entry: StoredEntry): void => {
  const reading = decodeRunEvent(entry);
  if (reading.kind !== 'known') return;
  const { tenant, project } = reading.place;
  index.apply({ boundary: { tenant, project }, event: reading.event }, entry.seq);
};

/** An empty index over TRANSITIONS and the bucket `runs`. `onHeld` is told when the first of them is held. */
export const createUnfinishedRuns = (
  { log, kv }: { readonly log: EventLog; readonly kv: KeyValue },
  onHeld: () => void = () => undefined,
): UnfinishedRuns => {
  const known = Promise.withResolvers<void>();
  let index = new UnfinishedIndex();

  return {
    watch: async (signal) => {
      const restored = await restore({ log, kv }, signal);
      index = restored.index;
      if (index.heldCount > 0) onHeld();
      const bursts = log.replayTogether({
        from: { seq: restored.fromSeq },
        subjects: [aggregateFilter('run')],
        follow: true,
        isShared: true,
        onCaughtUp: () => known.resolve(),
        signal,
      });
      for await (const entries of bursts) {
        const heldBefore = index.heldCount;
        for (const entry of entries) applyEntry(index, entry);
        if (heldBefore === 0 && index.heldCount > 0) onHeld();
      }
    },
    ready: known.promise,
    held: () => index.held(),
    queued: () => index.queued(),
    overdue: (now) => index.overdue(now),
    ofAgent: (boundary, agent) => index.ofAgent(boundary, agent),
    get size() {
      return index.size;
    },
  };
};
