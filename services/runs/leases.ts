// The leases of runs: keys of the bucket `leases` that expire by themselves. A lease is written with its claim (claims.ts), so a run whose
// claim is older than a moment and that has no lease key has lost it (lost-leases.ts). A lease is never revived: an expired key can only be
// taken anew. Does not decide anything: what a lost lease means is the run's rule.
import { RecentMap } from '#libs/kernel/recent-map.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue, PutOutcome } from '#libs/ports/key-value.ts';
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
  /**
   * Takes the lease of a claim that is on the log, whoever's key is there: that of a claim which lost against it, or one that cannot be read. One
   * with a higher fence stays: then the claim is over.
   */
  seize(holder: Holder, leaseMs: number): Promise<void>;
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

/** Tries to seize a lease while others write or give back theirs. */
const MOST_TRIES = 8;

/** Leases whose revision this process keeps in mind. */
const MOST_KNOWN = 10_000;

/** A lease as this process wrote it last. */
interface Written {
  readonly revision: number;
  readonly runnerId: string;
  readonly fence: number;
}

/** Writes leases and keeps what it wrote in mind, so that the next write needs no read: its expected revision proves that nobody came between. */
const createLeaseWriter = (kv: KeyValue, clock: Clock) => {
  const written = new RecentMap<Written>();
  const note = (key: string, { runnerId, fence }: Holder, revision: number): void => {
    written.set(key, { revision, runnerId, fence });
    written.trim(MOST_KNOWN);
  };
  return {
    lastOf: (key: string): Written | undefined => written.peek(key),
    /** The holder's value at the revision that is expected, with its time begun anew. */
    put: async (holder: Holder, expectedRevision: number, leaseMs: number): Promise<PutOutcome> => {
      const { runId, runnerId, fence } = holder;
      const key = leaseKey(holder.boundary, runId);
      written.delete(key);
      const value = jsonBytes({ runId, runnerId, fence, renewedAt: clock.now() } satisfies Lease);
      const outcome = await kv.put(key, value, { expectedRevision, ttlMs: ttlOf(leaseMs) });
      if (outcome.kind === 'stored') note(key, holder, outcome.revision);
      return outcome;
    },
    delete: (key: string, expectedRevision: number): Promise<PutOutcome> => {
      written.delete(key);
      return kv.delete(key, { expectedRevision });
    },
  };
};

const isBy = (lease: Pick<Lease, 'runnerId' | 'fence'> | undefined, { runnerId, fence }: Holder): boolean =>
  lease?.runnerId === runnerId && lease.fence === fence;

const leaseReader = (kv: KeyValue) => async (key: string) => {
  const entry = await kv.get(key);
  if (entry === undefined) return undefined;
  const parsed = leaseSchema.safeParse(parseJson(entry.value));
  return { revision: entry.revision, lease: parsed.success ? parsed.data : undefined };
};

/** Leases on the bucket of that name. */
export const createLeases = (kv: KeyValue, clock: Clock): Leases => {
  const writer = createLeaseWriter(kv, clock);
  const { put } = writer;
  const read = leaseReader(kv);

  const renew = async (holder: Holder, leaseMs: number): Promise<boolean> => {
    const key = leaseKey(holder.boundary, holder.runId);
    const known = writer.lastOf(key);
    if (known !== undefined && isBy(known, holder))
      if ((await put(holder, known.revision, leaseMs)).kind === 'stored') return true;
    const found = await read(key);
    if (found === undefined || !isBy(found.lease, holder)) return false;
    if ((await put(holder, found.revision, leaseMs)).kind === 'stored') return true;
    // Renewed at the same time by a repeat of this request, or lost in between.
    return isBy((await read(key))?.lease, holder);
  };

  return {
    take: async (holder, leaseMs) => {
      const key = leaseKey(holder.boundary, holder.runId);
      const outcome = await put(holder, 0, leaseMs);
      if (outcome.kind === 'stored') return { kind: 'taken', revision: outcome.revision };
      const found = await read(key);
      const isFree =
        found?.lease !== undefined && (isBy(found.lease, holder) || found.lease.fence < holder.fence);
      if (!isFree) return { kind: 'held', by: found?.lease };
      const again = await put(holder, found.revision, leaseMs);
      return again.kind === 'stored'
        ? { kind: 'taken', revision: again.revision }
        : { kind: 'held', by: found.lease };
    },
    seize: async (holder, leaseMs) => {
      const key = leaseKey(holder.boundary, holder.runId);
      for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
        const found = await read(key);
        if ((found?.lease?.fence ?? 0) > holder.fence) return;
        if ((await put(holder, found?.revision ?? 0, leaseMs)).kind === 'stored') return;
      }
    },
    renew,
    giveBack: async (boundary, runId, revision) => {
      await writer.delete(leaseKey(boundary, runId), revision);
    },
    remove: async (boundary, runId, fence) => {
      const key = leaseKey(boundary, runId);
      const known = writer.lastOf(key);
      if (known !== undefined && known.fence <= fence)
        if ((await writer.delete(key, known.revision)).kind === 'stored') return;
      const found = await read(key);
      if (found === undefined || (found.lease?.fence ?? 0) > fence) return;
      // A conflict: the holder renewed at this moment, and its next renewal is refused; or a later claim took it over.
      await writer.delete(key, found.revision);
    },
    exists: async (boundary, runId) => (await kv.get(leaseKey(boundary, runId))) !== undefined,
    missing: async (runs) => {
      const present = await kv.getMany(runs.map(({ boundary, runId }) => leaseKey(boundary, runId)));
      return runs.filter(({ boundary, runId }) => !present.has(leaseKey(boundary, runId)));
    },
  };
};
