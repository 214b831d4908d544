// The values that tell of hosts: the bucket `hosts` (a fold of their transitions) and their keys in `presence` (with a time to live).
import { z } from 'zod';
import { HOST_STATES, hostFactsSchema } from './host.ts';
import { nameSchema, spawnIdSchema } from './ids.ts';
import type { Boundary } from './subjects.ts';

const epochMs = z.int().nonnegative();
const bytes = z.int().nonnegative();

/** Bucket `hosts`, folded from the host transitions of TRANSITIONS. Key: <tenant>.<project>.<host>. */
export const hostViewSchema = z.object({
  seq: z.int().positive(),
  tenant: z.string(),
  project: z.string(),
  host: z.string(),
  state: z.enum(HOST_STATES),
  ...hostFactsSchema.shape,
  journalId: z.string(),
  /** Of the process that was heard of last. */
  bootId: z.string().nullable(),
  /** True from drain-requested to drain-ended, online or not. */
  isDraining: z.boolean(),
  /** Why it is drained, offline or retired. */
  reason: z.string().nullable(),
  onlineAt: epochMs.nullable(),
  offlineAt: epochMs.nullable(),
  /** When its runners were last asked to become what is installed. */
  updateRequestedAt: epochMs.nullable(),
  registeredAt: epochMs,
  updatedAt: epochMs,
});
export type HostView = z.infer<typeof hostViewSchema>;

/** How a runner stands on its host. */
const HOSTED_STATES = ['starting', 'running', 'stopping'] as const;

/** One runner in the presence of its host. */
const hostedRunnerSchema = z.object({
  spawnId: spawnIdSchema,
  policy: nameSchema,
  agent: nameSchema,
  pid: z.int().positive(),
  state: z.enum(HOSTED_STATES),
  startedAt: epochMs,
});

/** What a host says of itself every few seconds. */
export const hostWordSchema = z.object({
  bootId: z.string().min(1).max(64),
  journalId: z.string().min(1).max(64),
  ...hostFactsSchema.shape,
  freeMemoryBytes: bytes,
  totalMemoryBytes: bytes,
  freeDiskBytes: bytes,
  /** Where the system allows it each runner has a cgroup with a ceiling of memory; false: not here, and why is in its log. */
  hasCgroups: z.boolean(),
  /** Reports that wait in its buffer. */
  buffered: z.int().nonnegative(),
  runners: z.array(hostedRunnerSchema).max(1000),
  startedAt: epochMs,
});
export type HostWord = z.infer<typeof hostWordSchema>;

/** Bucket `presence` (keys expire): which hosts are alive, and what they run. */
export const hostPresenceSchema = hostWordSchema.extend({ host: nameSchema, seenAt: epochMs });
export type HostPresence = z.infer<typeof hostPresenceSchema>;

/** Key of a host's presence: <tenant>.<project>.host.<host>. */
export const hostPresenceKey = (boundary: Boundary, host: string): string =>
  `${boundary.tenant}.${boundary.project}.host.${host}`;
