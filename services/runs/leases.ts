// The leases of runs: keys of the bucket `leases` that expire by themselves. A lease is written before its claim is appended,
// so a claimed run without a lease key has lost it. A lease is never revived: an expired key can only be taken anew.
// Does not decide anything: what a lost lease means is the run's rule.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { leaseKey, leaseSchema, type Lease } from '#streams/buckets.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';

/** Who wants or holds a run. */
interface Holder {
  readonly boundary: Boundary;
  readonly runId: string;
  readonly runnerId: string;
  readonly fence: number;
}

type Taking =
  | { readonly kind: 'taken'; readonly revision: number }
  /** Another holder's key is there; or one that cannot be read. */
  | { readonly kind: 'held'; readonly by: Lease | undefined };

export interface Leases {
  /**
   * Takes the lease of a run that nobody holds. The holder's own key of an earlier, unfinished try counts as taken, and so
   * does a key with a lower fence: the run has been queued again since, so that claim is over.
   */
  take(holder: Holder, leaseMs: number): Promise<Taking>;
  /** Restarts the time of a held lease; false: it is lost. */
  renew(holder: Holder, leaseMs: number): Promise<boolean>;
  /** Gives up a lease that was taken at `revision`; another's key stays. */
  giveBack(boundary: Boundary, runId: string, revision: number): Promise<void>;
  /** Removes the lease of a claim that is over; the lease of a later claim stays. */
  remove(boundary: Boundary, runId: string, fence: number): Promise<void>;
  /** Whether any lease of the run is alive, read from the leader. */
  exists(boundary: Boundary, runId: string): Promise<boolean>;
  /** Those of the runs that seem to have no lease; may be behind: ask {@link exists} before acting. */
  missing<Run extends { readonly boundary: Boundary; readonly runId: string }>(
    runs: readonly Run[],
  ): Promise<readonly Run[]>;
}

/** TTLs are whole seconds; rounding up gives the holder the benefit. */
export const ttlOf = (ms: number): number => Math.max(1000, Math.ceil(ms / 1000) * 1000);

/** The run of a lease key (`<tenant>.<project>.run.<runId>`), or undefined. */
export const parseLeaseKey = (
  key: string,
): { readonly boundary: Boundary; readonly runId: string } | undefined => {
  const [tenant, project, kind, runId, ...rest] = key.split('.');
  if (tenant === undefined || project === undefined || kind !== 'run' || runId === undefined)
    return undefined;
  return rest.length === 0 ? { boundary: { tenant, project }, runId } : undefined;
};

/** Leases on the bucket of that name. */
export const createLeases = (kv: KeyValue, clock: Clock): Leases => {
  const valueOf = ({ runId, runnerId, fence }: Holder): Uint8Array =>
    jsonBytes({ runId, runnerId, fence, renewedAt: clock.now() } satisfies Lease);

  const read = async (key: string) => {
    const entry = await kv.get(key);
    if (entry === undefined) return undefined;
    const parsed = leaseSchema.safeParse(parseJson(entry.value));
    return { revision: entry.revision, lease: parsed.success ? parsed.data : undefined };
  };
  const isBy = (lease: Lease | undefined, { runnerId, fence }: Holder): boolean =>
    lease?.runnerId === runnerId && lease.fence === fence;

  const renew = async (holder: Holder, leaseMs: number): Promise<boolean> => {
    const key = leaseKey(holder.boundary, holder.runId);
    const found = await read(key);
    if (found === undefined || !isBy(found.lease, holder)) return false;
    const options = { expectedRevision: found.revision, ttlMs: ttlOf(leaseMs) };
    const outcome = await kv.put(key, valueOf(holder), options);
    if (outcome.kind === 'stored') return true;
    // Renewed at the same time by a repeat of this request, or lost in between.
    return isBy((await read(key))?.lease, holder);
  };

  return {
    take: async (holder, leaseMs) => {
      const key = leaseKey(holder.boundary, holder.runId);
      const options = { expectedRevision: 0, ttlMs: ttlOf(leaseMs) };
      const outcome = await kv.put(key, valueOf(holder), options);
      if (outcome.kind === 'stored') return { kind: 'taken', revision: outcome.revision };
      const found = await read(key);
      const isFree =
        found?.lease !== undefined && (isBy(found.lease, holder) || found.lease.fence < holder.fence);
      if (!isFree) return { kind: 'held', by: found?.lease };
      const again = await kv.put(key, valueOf(holder), { ...options, expectedRevision: found.revision });
      return again.kind === 'stored'
        ? { kind: 'taken', revision: again.revision }
        : { kind: 'held', by: found.lease };
    },
    renew,
    giveBack: async (boundary, runId, revision) => {
      await kv.delete(leaseKey(boundary, runId), { expectedRevision: revision });
    },
    remove: async (boundary, runId, fence) => {
      const key = leaseKey(boundary, runId);
      const found = await read(key);
      if (found === undefined || (found.lease?.fence ?? 0) > fence) return;
      // A conflict: the holder renewed at this moment, and its next renewal is refused; or a later claim took it over.
      await kv.delete(key, { expectedRevision: found.revision });
    },
    exists: async (boundary, runId) => (await kv.get(leaseKey(boundary, runId))) !== undefined,
    missing: async (runs) => {
      const present = await kv.getMany(runs.map(({ boundary, runId }) => leaseKey(boundary, runId)));
      return runs.filter(({ boundary, runId }) => !present.has(leaseKey(boundary, runId)));
    },
  };
};
