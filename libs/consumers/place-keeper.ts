// The place of one owner: which sequences are done, which are open, and when that is written. Written some time after something has
// changed, and again and again while entries are open, so that who stands by sees the owner live; never while nothing happens.
// A conflict tells that somebody else owns the place by now. Hands nothing out (see followed-queue.ts).
import { toFault } from '#libs/kernel/fault.ts';
import type { CancelTimer } from '#libs/ports/clock.ts';
import type { FollowedParts } from './followed-options.ts';
import { NOBODY } from './owned-value.ts';
import { encodePlace, floorOf, type Place, readPlace } from './place.ts';

/** A claimed place, and its revision. */
export interface Claimed {
  readonly place: Place;
  readonly revision: number;
}

/** Claims the place, whoever owned it; undefined: somebody else was faster. Throws the faults of bucket and log. */
export const claimPlace = async (parts: FollowedParts, owner: string): Promise<Claimed | undefined> => {
  const { places, name, log, startsAt = 'first' } = parts;
  const { place: found, revision } = await readPlace(places, name);
  const { lastSeq } = await log.bounds();
  const first = startsAt === 'new' ? lastSeq : 0;
  // A log that is shorter has lost its end: what comes next is new.
  const seq = Math.min(found?.seq ?? first, lastSeq);
  const open = (found?.open ?? []).filter((each) => each <= seq);
  const claimedAt = floorOf({ seq, open });
  const claims = found?.claimedAt === claimedAt ? found.claims + 1 : 1;
  const place = { seq, open, owner, claimedAt, claims };
  const outcome = await places.put(name, encodePlace(place), { expectedRevision: revision });
  return outcome.kind === 'stored' ? { place, revision: outcome.revision } : undefined;
};

export class PlaceKeeper {
  readonly #parts: FollowedParts;
  readonly #owner: string;
  /** Called when the place is another's, or cannot be written for good (with the error). */
  readonly #onLost: (failure?: { readonly error: unknown }) => void;
  readonly #claimed: Place;
  readonly #open: Set<number>;
  #seq: number;
  #revision: number;
  #isLost = false;
  #cancelSave: CancelTimer | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(
    parts: FollowedParts,
    { place, revision }: Claimed,
    onLost: (failure?: { readonly error: unknown }) => void,
  ) {
    this.#parts = parts;
    this.#owner = place.owner;
    this.#onLost = onLost;
    this.#claimed = place;
    this.#seq = place.seq;
    this.#open = new Set(place.open);
    this.#revision = revision;
  }

  /** The last sequence that was handed out or before. */
  get seq(): number {
    return this.#seq;
  }

  /** Sequences that are open, lowest first. */
  open(): readonly number[] {
    return [...this.#open].toSorted((a, b) => a - b);
  }

  get openCount(): number {
    return this.#open.size;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** How often what is handed out now was handed out before, as far as owners that died over it can tell. */
  get earlierDeliveries(): number {
    const { claimedAt, claims } = this.#claimed;
    if (claims <= 1) return 0;
    return floorOf({ seq: this.#seq, open: this.open() }) === claimedAt ? claims - 1 : 0;
  }

  begin(seq: number): void {
    this.#seq = Math.max(this.#seq, seq);
    this.#open.add(seq);
    this.#plan();
  }

  end(seq: number): void {
    if (this.#open.delete(seq)) this.#plan();
  }

  /** Writes the place for whoever comes next, and writes no more. Best effort: without it they wait. */
  async handBack(): Promise<void> {
    this.#cancelSave?.();
    await this.#saving;
    if (this.#isLost) return;
    this.#isLost = true;
    const place = { ...this.#now(), owner: NOBODY, claims: 0 };
    const { places, name } = this.#parts;
    await places.put(name, encodePlace(place), { expectedRevision: this.#revision }).catch(() => undefined);
  }

  /** Writes no more: the place stays as it is, for whoever claims it. */
  forsake(): void {
    this.#isLost = true;
    this.#cancelSave?.();
  }

  #now(): Place {
    return { ...this.#claimed, seq: this.#seq, open: this.open() };
  }

  #plan(): void {
    if (this.#cancelSave !== undefined || this.#isLost) return;
    this.#cancelSave = this.#parts.clock.timer(this.#parts.limits.saveMs, () => {
      this.#cancelSave = undefined;
      this.#saving = this.#save();
    });
  }

  async #save(): Promise<void> {
    try {
      await this.#put();
    } catch (error) {
      const fault = toFault(error);
      if (fault.retry === 'never' && fault.code !== 'UNEXPECTED_ERROR') return this.#lose({ error });
      this.#plan();
    }
    if (this.#open.size > 0) this.#plan();
  }

  async #put(): Promise<void> {
    const { places, name } = this.#parts;
    const outcome = await places.put(name, encodePlace(this.#now()), { expectedRevision: this.#revision });
    if (outcome.kind === 'stored') {
      this.#revision = outcome.revision;
      return;
    }
    const { place, revision } = await readPlace(places, name);
    // An own write whose answer was lost; anything else is another owner's.
    if (place?.owner !== this.#owner || revision <= this.#revision) return this.#lose();
    this.#revision = revision;
    this.#plan();
  }

  #lose(failure?: { readonly error: unknown }): void {
    if (this.#isLost) return;
    this.forsake();
    this.#onLost(failure);
  }
}
