// The file of API tokens: whose each is and what they may. It holds digests, never a token. Written by `fleetlog token`, read by gateways
// while they run.
import { z } from 'zod';
import { nameSchema } from './ids.ts';

/** What asks by a token. */
export const IDENTITY_KINDS = ['person', 'agent', 'service'] as const;
export type IdentityKind = (typeof IDENTITY_KINDS)[number];

/** Reads everything of its tenant and project and changes nothing. */
export const READS_ONLY = 'reads-only';
/** May name others as whoever writes or answers: for services that pass on what people said to them. */
export const ON_BEHALF = 'on-behalf';

export const tokenSchema = z.strictObject({
  /** Names the token where its holder has several: `tok_` and the beginning of its digest. */
  id: z.string().regex(/^tok_[0-9a-f]{12}$/),
  /** On record as `user:<name>`. */
  name: nameSchema,
  kind: z.enum(IDENTITY_KINDS),
  /** `reads-only` and `on-behalf` mean something to the API; others are asked for by approvals. */
  roles: z.array(nameSchema).max(32),
  /** What alone it opens. */
  tenant: nameSchema,
  project: nameSchema,
  /** SHA-256 (hex) of the token. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.int().nonnegative(),
  /** Null: never. */
  expiresAt: z.int().nonnegative().nullable(),
});
export type ApiToken = z.infer<typeof tokenSchema>;

export const tokenFileSchema = z.strictObject({ tokens: z.array(tokenSchema).max(10_000) });
