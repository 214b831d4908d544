// Receipts of requests under an idempotency key: the value of bucket `receipts`. Written before the work is asked for and again with its
// answer; it expires by itself. Key: <tenant>.<project>.<SHA-256 of asker, path and idempotency key>.
import { z } from 'zod';
import type { Boundary } from './subjects.ts';

export const receiptSchema = z.object({
  /** SHA-256 (hex) of the whole request: another one under the same key is refused. */
  requestHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** `POST /api/v1/runs`, for people. */
  request: z.string(),
  by: z.string(),
  receivedAt: z.int().nonnegative(),
  /** What counted where the request said nothing: a repeat asks for the same, whatever the settings are by then. */
  defaults: z.object({
    agent: z.string(),
    turnTimeoutMs: z.int(),
    leaseMs: z.int(),
    maxAttempts: z.int(),
  }),
  /** Absent while the work is being asked for, and after a crash in between: the repeat asks for it again, under the same ids. */
  answer: z
    .object({
      status: z.int(),
      /** JSON. */
      body: z.string(),
      location: z.string().nullable(),
    })
    .optional(),
});
export type Receipt = z.infer<typeof receiptSchema>;
export type WorkDefaults = Receipt['defaults'];

/** Key of a receipt from the digest of what it is for. */
export const receiptKey = ({ tenant, project }: Boundary, digest: string): string =>
  `${tenant}.${project}.${digest}`;
