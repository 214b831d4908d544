// How far a reactor has come on the log that it follows, kept under its name in one bucket. The place is written after the work that it
// covers, so it may be behind it and is never ahead. It is also the fence: whoever owns it writes it at the revision that it wrote last.
import type { KeyValue, KeyValueEntry } from '#libs/ports/key-value.ts';
import { decodeOwned, encodeOwned, isCount } from './owned-value.ts';

export interface Place {
  /** Every entry up to this sequence is done, but for those in `open`. */
  readonly seq: number;
  /** Sequences that were handed out and have not ended, lowest first. */
  readonly open: readonly number[];
  /** The instance that wrote it, or `NOBODY`. */
  readonly owner: string;
  /** Where the last owner found it: the first sequence that was not done. */
  readonly claimedAt: number;
  /** Owners in a row that found it there: many of them tell of an entry that ends whoever works on it. */
  readonly claims: number;
}

/** A place as it is in the bucket; `revision` 0: there is none. */
interface StoredPlace {
  readonly place: Place | undefined;
  readonly revision: number;
}

export const encodePlace = (place: Place): Uint8Array => encodeOwned(place);

const parse = (value: unknown): Place | undefined => {
  if (typeof value !== 'object' || value === null) return undefined;
  const { seq, open, owner, claimedAt, claims } = value as Partial<Record<keyof Place, unknown>>;
  if (!isCount(seq) || !isCount(claimedAt) || !isCount(claims) || typeof owner !== 'string') return undefined;
  if (!Array.isArray(open) || !open.every(isCount)) return undefined;
  return { seq, open, owner, claimedAt, claims };
};

/** A place from its bytes; undefined when they are not one (edited by hand): the reactor then begins anew, which its ids make harmless. */
export const decodePlace = (entry: KeyValueEntry | undefined): StoredPlace => {
  const { value: place, revision } = decodeOwned(entry, parse);
  return { place, revision };
};

/** The first sequence that is not done. */
export const floorOf = ({ seq, open }: Pick<Place, 'seq' | 'open'>): number => open[0] ?? seq + 1;

/** Reads a place from the leader. */
export const readPlace = async (kv: KeyValue, name: string): Promise<StoredPlace> =>
  decodePlace(await kv.get(name));
