// Taking ownership of a projection's bucket: the position is read and written again under this instance's name, at the
// revision that was read. From then on another owner's next position write conflicts. Does not wait and does not fold.
import { Fault } from '#libs/kernel/fault.ts';
import type { ProjectionParts } from './parts.ts';
import { encodePosition, type Position, POSITION_KEY, readPosition } from './position.ts';

export type Claim =
  | { readonly kind: 'claimed'; readonly seq: number; readonly revision: number }
  /** Somebody else was faster, a newer version has folded the bucket, or a rebuild is switching it. */
  | { readonly kind: 'refused'; readonly reason: 'fenced' | 'outdated' | 'rebuilding' }
  /** The bucket cannot be gone on from: an older version has folded it, or the log ends before its position. */
  | { readonly kind: 'rebuild-needed'; readonly fault: Fault };

const outdated = (
  { name, version }: { readonly name: string; readonly version: number },
  folded: number,
): Fault =>
  new Fault({
    code: 'PROJECTION_REBUILD_NEEDED',
    retry: 'never',
    message: `the bucket of projection ${name} was folded by version ${folded}, this is version ${version}: run "fleetlog projections rebuild ${name}"`,
  });

const ahead = (
  name: string,
  place: { readonly stream: string; readonly seq: number; readonly lastSeq: number },
): Fault =>
  new Fault({
    code: 'PROJECTION_AHEAD',
    retry: 'never',
    message: `projection ${name} stands at ${place.seq}, but stream ${place.stream} ends at ${place.lastSeq}: run "fleetlog projections rebuild ${name}"`,
    detail: place,
  });

const isRebuilding = (position: Position | undefined, nowMs: number): boolean =>
  position?.rebuild !== undefined && position.rebuild.untilMs > nowMs;

/** Claims the bucket. Throws the faults of bucket and log, and `PROJECTION_BUCKET_TAKEN` (never) when it is another projection's. */
export const claimProjection = async <Event, State extends object>(
  parts: Pick<ProjectionParts<Event, State>, 'projection' | 'log' | 'kv' | 'clock' | 'owner'>,
): Promise<Claim> => {
  const { projection, log, kv, clock, owner } = parts;
  const { name, version } = projection;
  const { position, revision } = await readPosition(kv);
  if (isRebuilding(position, clock.now())) return { kind: 'refused', reason: 'rebuilding' };
  if (position !== undefined && position.projection !== name)
    throw new Fault({
      code: 'PROJECTION_BUCKET_TAKEN',
      retry: 'never',
      message: `bucket ${kv.bucket} belongs to projection ${position.projection}, not to ${name}`,
    });
  if (position !== undefined && position.version > version) return { kind: 'refused', reason: 'outdated' };
  if (position !== undefined && position.version < version)
    return { kind: 'rebuild-needed', fault: outdated(projection, position.version) };
  const seq = position?.seq ?? 0;
  const { lastSeq } = await log.bounds();
  if (seq > lastSeq)
    return { kind: 'rebuild-needed', fault: ahead(name, { stream: log.stream, seq, lastSeq }) };
  const value = encodePosition({ seq, projection: name, version, owner });
  const outcome = await kv.put(POSITION_KEY, value, { expectedRevision: revision });
  return outcome.kind === 'stored'
    ? { kind: 'claimed', seq, revision: outcome.revision }
    : { kind: 'refused', reason: 'fenced' };
};
