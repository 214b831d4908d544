// Ids that the gateway gives: random, or following from the idempotency key, so that a repeat at any later time and through any gateway
// finds what the first request made.
import { createHash } from 'node:crypto';
import type { Ids } from '#libs/ports/ids.ts';
import { idFromDigest, makeId, type IdKind } from '#streams/ids.ts';
import type { Boundary } from '#streams/subjects.ts';

/** Makes ids of one request; with a key they follow from it within its tenant and project. */
export const idMaker = (
  ids: Ids,
  boundary: Boundary,
  key: string | undefined,
): ((kind: IdKind) => string) => {
  if (key === undefined) return (kind) => makeId(kind, ids.ulid());
  const seed = JSON.stringify([boundary.tenant, boundary.project, key]);
  const digest = createHash('sha256').update(seed).digest();
  return (kind) => idFromDigest(kind, digest);
};
