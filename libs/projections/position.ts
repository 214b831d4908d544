// How far a projection has come, kept in the projection's own bucket under one reserved key. The position is written after
// the keys that it covers, so it may be behind them and is never ahead. It is also the fence: whoever owns the projection
// writes it with the revision that it wrote last; a conflict tells that somebody else has taken over.
import { decodeOwned, encodeOwned, isCount } from '#libs/consumers/owned-value.ts';
import type { KeyValue, KeyValueEntry } from '#libs/ports/key-value.ts';

/** The reserved key; projected keys never begin with `_`. */
export const POSITION_KEY = '_position';

export interface Position {
  /** Every entry up to this stream sequence is folded into the bucket. */
  readonly seq: number;
  readonly projection: string;
  /** Version of the projection that the bucket was folded with. */
  readonly version: number;
  /** The instance that wrote it, or `NOBODY`. */
  readonly owner: string;
  /** Set while a rebuild switches the bucket: nobody else takes over before `untilMs` (epoch ms). */
  readonly rebuild?: { readonly by: string; readonly untilMs: number };
}

/** A position as it is in the bucket; `revision` 0: there is none. */
export interface StoredPosition {
  readonly position: Position | undefined;
  readonly revision: number;
}

export const encodePosition = (position: Position): Uint8Array => encodeOwned(position);

const parseRebuild = (value: unknown): Position['rebuild'] => {
  if (typeof value !== 'object' || value === null || !('by' in value) || !('untilMs' in value))
    return undefined;
  const { by, untilMs } = value;
  return typeof by === 'string' && typeof untilMs === 'number' ? { by, untilMs } : undefined;
};

const parse = (value: unknown): Position | undefined => {
  if (typeof value !== 'object' || value === null) return undefined;
  if (!('seq' in value) || !('projection' in value) || !('version' in value) || !('owner' in value))
    return undefined;
  const { seq, projection, version, owner } = value;
  if (!isCount(seq) || !isCount(version) || typeof projection !== 'string' || typeof owner !== 'string')
    return undefined;
  const rebuild = 'rebuild' in value ? parseRebuild(value.rebuild) : undefined;
  return { seq, projection, version, owner, ...(rebuild === undefined ? {} : { rebuild }) };
};

/** A position from its bytes; undefined when they are not one (edited by hand): the fold then starts over, and keys that are ahead skip. */
export const decodePosition = (entry: KeyValueEntry | undefined): StoredPosition => {
  const { value: position, revision } = decodeOwned(entry, parse);
  return { position, revision };
};

/** Reads the position from the leader. */
export const readPosition = async (kv: KeyValue): Promise<StoredPosition> =>
  decodePosition(await kv.get(POSITION_KEY));
