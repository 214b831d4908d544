// Which runs have not ended, kept in memory from the bucket `runs`: where the sweeps look for lost leases and
// instructions without reading the log. Holds nothing of ended runs. A hint only: it may be behind, and nothing is decided from it.
import { aborted } from '#libs/service/aborted.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { runViewSchema } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';
import { isEnded, isHeld } from './run-state.policy.ts';

export interface UnfinishedRun {
  readonly boundary: Boundary;
  readonly runId: string;
  /** Of its last transition, epoch ms. */
  readonly updatedAt: number;
}

/** How a run of an agent seems to stand. */
interface AgentRun extends UnfinishedRun {
  readonly agent: string;
  readonly createdAt: number;
  readonly isHeld: boolean;
  readonly isQueued: boolean;
}

export interface UnfinishedRuns {
  /** Keeps the index until the signal aborts. */
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

/** Calls `look` once the summaries are there, and again and again after `everyMs`, until the signal aborts. Throws what it throws. */
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
  // Stopped before the summaries were there: nothing else would end the waiting.
  await Promise.race([unfinished.ready, aborted(signal)]);
  while (!signal.aborted) {
    await look();
    await clock.sleep(everyMs, signal);
  }
};

const indexedSchema = runViewSchema.pick({
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

interface IndexedRun extends AgentRun {
  /** When its first open question is over; infinite when it has none. */
  readonly dueAt: number;
}

/** An empty index over the bucket `runs`. `onHeld` is told when the first of them is held. */
export const createUnfinishedRuns = (kv: KeyValue, onHeld: () => void = () => undefined): UnfinishedRuns => {
  const runs = new Map<string, IndexedRun>();
  const heldKeys = new Set<string>();
  const known = Promise.withResolvers<void>();

  const forget = (key: string): void => {
    runs.delete(key);
    heldKeys.delete(key);
  };
  const noteHeld = (key: string, isHeldNow: boolean): void => {
    if (!isHeldNow) return void heldKeys.delete(key);
    heldKeys.add(key);
    if (heldKeys.size === 1) onHeld();
  };
  const note = (key: string, value: Uint8Array): void => {
    const parsed = indexedSchema.safeParse(parseJson(value));
    // Not a summary (the position of the projection): nothing to look after.
    if (!parsed.success || isEnded(parsed.data.state)) return forget(key);
    noteHeld(key, isHeld(parsed.data));
    const { tenant, project, runId, agent, createdAt, state, updatedAt, openApprovals } = parsed.data;
    runs.set(key, {
      boundary: { tenant, project },
      runId,
      agent,
      createdAt,
      updatedAt,
      isHeld: isHeld(parsed.data),
      isQueued: state === 'queued',
      dueAt: Math.min(...openApprovals.map(({ expiresAt }) => expiresAt)),
    });
  };

  return {
    watch: async (signal) => {
      for await (const event of kv.watch({ signal })) {
        if (event.kind === 'current') known.resolve();
        else if (event.kind === 'put') note(event.entry.key, event.entry.value);
        else forget(event.key);
      }
    },
    ready: known.promise,
    held: () => [...heldKeys].flatMap((key) => runs.get(key) ?? []),
    queued: () => [...runs.values()].filter((run) => run.isQueued),
    overdue: (now) => [...runs.values()].filter(({ dueAt }) => dueAt <= now),
    ofAgent: ({ tenant, project }, agent) =>
      [...runs.values()].filter(
        (run) => run.agent === agent && run.boundary.tenant === tenant && run.boundary.project === project,
      ),
    get size() {
      return runs.size;
    },
  };
};
