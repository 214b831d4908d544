// Which runs have not ended, kept in memory from the bucket `runs`: where the sweep looks for lost leases without reading
// the log. Holds nothing of ended runs. A hint only: it may be behind, and nothing is decided from it.
import type { KeyValue } from '#libs/ports/key-value.ts';
import { runViewSchema } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';
import { isEnded, isHeld } from './run.decider.ts';

interface UnfinishedRun {
  readonly boundary: Boundary;
  readonly runId: string;
}

export interface UnfinishedRuns {
  /** Keeps the index until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Resolves when the runs that were there at the start are known. */
  readonly ready: Promise<void>;
  /** Runs that a runner seems to hold. */
  held(): readonly UnfinishedRun[];
  readonly size: number;
}

const indexedSchema = runViewSchema.pick({ tenant: true, project: true, runId: true, state: true });

/** An empty index over the bucket `runs`. */
export const createUnfinishedRuns = (kv: KeyValue): UnfinishedRuns => {
  const runs = new Map<string, UnfinishedRun & { readonly isHeld: boolean }>();
  const known = Promise.withResolvers<void>();

  const note = (key: string, value: Uint8Array): void => {
    const parsed = indexedSchema.safeParse(parseJson(value));
    // Not a summary (the position of the projection): nothing to look after.
    if (!parsed.success || isEnded(parsed.data.state)) return void runs.delete(key);
    const { tenant, project, runId, state } = parsed.data;
    runs.set(key, { boundary: { tenant, project }, runId, isHeld: isHeld(state) });
  };

  return {
    watch: async (signal) => {
      for await (const event of kv.watch({ signal })) {
        if (event.kind === 'current') known.resolve();
        else if (event.kind === 'put') note(event.entry.key, event.entry.value);
        else runs.delete(event.key);
      }
    },
    ready: known.promise,
    held: () => [...runs.values()].filter((run) => run.isHeld),
    get size() {
      return runs.size;
    },
  };
};
