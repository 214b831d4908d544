// The mark by which a rebuild keeps the live projection away from its bucket while it switches: a position owned by the
// rebuild, with a lease. Closing it conflicts with the live owner's next position write; opening it hands the bucket back.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { NOBODY } from '#libs/consumers/owned-value.ts';
import { encodePosition, type Position, POSITION_KEY, readPosition } from './position.ts';

export interface RebuildFenceOptions {
  readonly kv: KeyValue;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly owner: string;
  /** How long the mark holds when it is not renewed. */
  readonly leaseMs: number;
}

/** A live owner under load moves its position every few milliseconds; the fence needs one lucky moment. */
const MAX_TRIES = 500;

export class RebuildFence {
  readonly #options: RebuildFenceOptions;
  #held: { readonly position: Position; readonly revision: number; readonly sinceMs: number } | undefined;

  constructor(options: RebuildFenceOptions) {
    this.#options = options;
  }

  /** Fences the live projection; returns where it stood. Throws `REBUILD_RUNNING` (later) when another rebuild holds the mark. */
  async close(projection: { readonly name: string; readonly version: number }): Promise<Position> {
    const { kv, clock, ids, owner } = this.#options;
    const fresh: Position = { seq: 0, projection: projection.name, version: projection.version, owner };
    for (let tries = 1; tries <= MAX_TRIES; tries += 1) {
      const { position = fresh, revision } = await readPosition(kv);
      if (position.rebuild !== undefined && position.rebuild.untilMs > clock.now())
        throw this.#fault('REBUILD_RUNNING', `${position.rebuild.by} is rebuilding bucket ${kv.bucket}`);
      if (await this.#put(position, revision)) return position;
      if (tries % 10 === 0) await clock.sleep(ids.random() * 5);
    }
    throw this.#fault('REBUILD_DISPLACED', `the position of bucket ${kv.bucket} moves too fast to be fenced`);
  }

  /** Extends the lease when a third of it is over. */
  async renew(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    const { clock, leaseMs, kv } = this.#options;
    if (clock.monotonicMs() - held.sinceMs < leaseMs / 3) return;
    if (!(await this.#put(held.position, held.revision)))
      throw this.#fault('REBUILD_DISPLACED', `somebody took bucket ${kv.bucket} over`);
  }

  /** Hands the bucket back at `position`, unless that has been done. */
  async open(position: Omit<Position, 'owner' | 'rebuild'>): Promise<void> {
    const { kv } = this.#options;
    if (this.#held === undefined) return;
    const { seq, projection, version } = position;
    const value = encodePosition({ seq, projection, version, owner: NOBODY });
    const outcome = await kv.put(POSITION_KEY, value, { expectedRevision: this.#held.revision });
    if (outcome.kind !== 'stored')
      throw this.#fault('REBUILD_DISPLACED', `somebody took bucket ${kv.bucket} over`);
    this.#held = undefined;
  }

  async #put(position: Position, revision: number): Promise<boolean> {
    const { kv, clock, owner, leaseMs } = this.#options;
    const sinceMs = clock.monotonicMs();
    const { seq, projection, version } = position;
    const rebuild = { by: owner, untilMs: clock.now() + leaseMs };
    const value = encodePosition({ seq, projection, version, owner, rebuild });
    const outcome = await kv.put(POSITION_KEY, value, { expectedRevision: revision });
    if (outcome.kind === 'stored') this.#held = { position, revision: outcome.revision, sinceMs };
    return outcome.kind === 'stored';
  }

  #fault(code: string, message: string): Fault {
    return new Fault({ code, retry: 'later', message });
  }
}
