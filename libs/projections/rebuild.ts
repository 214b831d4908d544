// Folds a projection's bucket again from the start of the log, beside the live one, and switches.
//
// The scheme: readers and plain NATS tools know a bucket by its one name, and a bucket cannot be renamed or aliased. So the
// switch happens inside the live bucket: (1) fold everything into a scratch bucket while the live one goes on; (2) fence the
// live projection by writing its position with a `rebuild` mark (its next position write conflicts and it stands by; nobody
// takes over before the mark runs out); (3) fold the rest into the scratch bucket; (4) write only the keys that differ into
// the live bucket at their revisions and delete those that should not be there; (5) write the position without the mark: the
// live projection goes on from there at once. Readers see each key change at most once, from the old value to the rebuilt one.
// A crash on the way leaves a bucket that is still valid (every key carries its own sequence) and whose mark runs out.
// Not chosen: a generation in the key or bucket name (every reader would have to know it), and purging first (readers would
// see an empty bucket). Memory is bounded; the log is read once. Needs the whole history: refuses when the log's head is gone,
// unless the projection says that it lives with what is left.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { ActiveProjection } from './active-projection.ts';
import { claimProjection } from './claim.ts';
import { keyChunks } from './key-chunks.ts';
import { PROJECTION_DEFAULTS, type ProjectionParts } from './parts.ts';
import type { Projection } from './projection.ts';
import { RebuildFence } from './rebuild-fence.ts';

export interface RebuildOptions<Event, State extends object> {
  readonly projection: Projection<Event, State>;
  readonly log: EventLog;
  /** The projection's own bucket. */
  readonly live: KeyValue;
  /** A bucket for the fold; whatever it holds is deleted. */
  readonly scratch: KeyValue;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly signal?: AbortSignal;
  /** How long a fenced writer's last batch may still be on its way; waited out when the bucket was folded by another version. Default 5,000 ms. */
  readonly settleMs?: number;
  /** How long the fence outlives a rebuild that crashed; default 30,000 ms. */
  readonly leaseMs?: number;
  readonly onProgress?: (progress: RebuildProgress) => void;
}

export type RebuildProgress =
  | { readonly kind: 'folded'; readonly seq: number }
  | { readonly kind: 'fenced'; readonly seq: number }
  | { readonly kind: 'switched'; readonly report: RebuildReport };

export interface RebuildReport {
  /** The rebuilt bucket reflects the log up to here. */
  readonly seq: number;
  /** Keys of the rebuilt bucket. */
  readonly keys: number;
  /** Keys that differed and were written. */
  readonly written: number;
  /** Keys that should not have been there. */
  readonly deleted: number;
}

/** Rounds of catching up before the live projection is fenced: what is left then is little. */
const CATCH_UPS = 3;

const assertHistory = async (
  log: EventLog,
  { history }: Pick<Projection<never, object>, 'history'>,
): Promise<void> => {
  const { firstSeq } = await log.bounds();
  if (history === 'what-is-left' || firstSeq <= 1) return;
  throw new Fault({
    code: 'REBUILD_HISTORY_GONE',
    retry: 'never',
    message: `stream ${log.stream} begins at ${firstSeq}: its older entries are gone, a rebuild would forget what they changed`,
    detail: { firstSeq },
  });
};

const empty = async (kv: KeyValue): Promise<void> => {
  const left: string[] = [];
  for await (const key of kv.keys()) left.push(key);
  for (let at = 0; at < left.length; at += 64)
    await Promise.all(left.slice(at, at + 64).map((key) => kv.delete(key)));
};

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, at) => byte === b[at]);

class Rebuild<Event, State extends object> {
  readonly #options: RebuildOptions<Event, State>;
  readonly #parts: ProjectionParts<Event, State>;
  readonly #fence: RebuildFence;
  #written = 0;
  #deleted = 0;
  #keys = 0;

  constructor(options: RebuildOptions<Event, State>) {
    const { projection, log, scratch, clock, ids, live } = options;
    this.#options = options;
    const owner = `rebuild-${ids.ulid()}`;
    this.#fence = new RebuildFence({ kv: live, clock, ids, owner, leaseMs: options.leaseMs ?? 30_000 });
    this.#parts = {
      projection,
      log,
      kv: scratch,
      clock,
      ids,
      owner,
      limits: PROJECTION_DEFAULTS,
      observe: () => undefined,
      // The live projection has parked it already, or will.
      onPoison: () => Promise.resolve(),
      signal: options.signal ?? new AbortController().signal,
    };
  }

  async run(): Promise<RebuildReport> {
    const { projection, log, scratch, settleMs = 5000, clock, onProgress } = this.#options;
    const { signal } = this.#parts;
    await assertHistory(log, projection);
    await empty(scratch);
    for (let round = 0; round < CATCH_UPS; round += 1)
      onProgress?.({ kind: 'folded', seq: await this.#foldRest() });
    const fenced = await this.#fence.close(projection);
    onProgress?.({ kind: 'fenced', seq: fenced.seq });
    try {
      if (fenced.version !== projection.version) await clock.sleep(settleMs, signal);
      const report = await this.#switch();
      await empty(scratch);
      onProgress?.({ kind: 'switched', report });
      return report;
    } catch (error) {
      // Every key is still valid by its own sequence: the live projection goes on from where it was fenced.
      await this.#fence.open(fenced).catch(() => undefined);
      throw error;
    }
  }

  async #switch(): Promise<RebuildReport> {
    const { name, version } = this.#options.projection;
    const seq = await this.#foldRest();
    await this.#writeDifferences();
    await this.#deleteSurplus();
    this.#assertRunning();
    await this.#fence.open({ seq, projection: name, version });
    return { seq, keys: this.#keys, written: this.#written, deleted: this.#deleted };
  }

  #assertRunning(): void {
    if (!this.#parts.signal.aborted) return;
    throw new Fault({ code: 'REBUILD_STOPPED', retry: 'later', message: 'the rebuild was told to stop' });
  }

  /** Folds into the scratch bucket what the log holds now beyond it; returns the sequence it reflects. */
  async #foldRest(): Promise<number> {
    this.#assertRunning();
    const { lastSeq } = await this.#parts.log.bounds();
    const claim = await claimProjection(this.#parts);
    if (claim.kind !== 'claimed') throw this.#displaced();
    if (claim.seq < lastSeq) {
      const end = await new ActiveProjection(this.#parts, claim, { toSeq: lastSeq }).run();
      this.#assertRunning();
      if (end !== 'stopped') throw this.#displaced();
    }
    return lastSeq;
  }

  #displaced(): Fault {
    return new Fault({
      code: 'REBUILD_DISPLACED',
      retry: 'later',
      message: `somebody else writes to bucket ${this.#parts.kv.bucket}: is another rebuild running?`,
    });
  }

  async #writeDifferences(): Promise<void> {
    const { live, scratch } = this.#options;
    for await (const keys of keyChunks(scratch)) {
      this.#assertRunning();
      await this.#fence.renew();
      const wanted = await scratch.getMany(keys);
      const present = await live.getMany(keys);
      const puts = [];
      for (const [key, { value }] of wanted) {
        this.#keys += 1;
        const old = present.get(key);
        if (old !== undefined && isSame(old.value, value)) continue;
        puts.push({ key, value, options: { expectedRevision: old?.revision ?? 0 } });
      }
      const outcomes = await live.putMany(puts);
      for (const [at, { key, value }] of puts.entries()) {
        if (outcomes[at]?.kind !== 'stored') await this.#insist(key, value);
        this.#written += 1;
      }
    }
  }

  /** The key moved between reading and writing (a replica lagged, or the fenced writer's last batch came): read it from the leader. */
  async #insist(key: string, value: Uint8Array): Promise<void> {
    const { live } = this.#options;
    for (let tries = 0; tries < 10; tries += 1) {
      const old = await live.get(key);
      if (old !== undefined && isSame(old.value, value)) return;
      const outcome = await live.put(key, value, { expectedRevision: old?.revision ?? 0 });
      if (outcome.kind === 'stored') return;
    }
    throw this.#displaced();
  }

  async #deleteSurplus(): Promise<void> {
    const { live, scratch } = this.#options;
    for await (const keys of keyChunks(live)) {
      this.#assertRunning();
      await this.#fence.renew();
      const wanted = await scratch.getMany(keys);
      for (const key of keys) {
        if (wanted.has(key) || (await scratch.get(key)) !== undefined) continue;
        await live.delete(key);
        this.#deleted += 1;
      }
    }
  }
}

/**
 * Rebuilds and switches. Throws the faults of log and buckets, `REBUILD_HISTORY_GONE` (never), `REBUILD_RUNNING` (later),
 * `REBUILD_DISPLACED` (later), `REBUILD_STOPPED` (later); after any of them the live projection goes on by itself.
 */
export const rebuildProjection = <Event, State extends object>(
  options: RebuildOptions<Event, State>,
): Promise<RebuildReport> => new Rebuild(options).run();
