// The values that tell of policies: the bucket `policies` (configuration with its history) and the bucket `agents` (how each managed
// agent stands). Folds of the policies' transitions, stamped with the sequence that they reflect.
import { z } from 'zod';
import { policyConfigSchema } from './policy-config.ts';
import { stuckEvidenceSchema } from './policy.ts';
import { POLICY_STATES } from './policy-causes.ts';

const epochMs = z.int().nonnegative();

/** Versions that the view and the aggregate keep; the log has them all. */
export const KEPT_VERSIONS = 20;

const versionSchema = z.object({
  version: z.int().positive(),
  /** Null: it was removed with this version. */
  config: policyConfigSchema.nullable(),
  changed: z.array(z.string()),
  rolledBackTo: z.int().positive().nullable(),
  note: z.string().nullable(),
  by: z.string(),
  at: epochMs,
  /** Of its entry in TRANSITIONS. */
  seq: z.int().positive(),
});

/** Bucket `policies`. Key: <tenant>.<project>.<policy>. The bucket keeps earlier values as well. */
export const policyViewSchema = z.object({
  seq: z.int().positive(),
  tenant: z.string(),
  project: z.string(),
  policy: z.string(),
  /** Of the newest version; what a writer names as the one that it has seen. 0: it was removed. */
  version: z.int().nonnegative(),
  isRemoved: z.boolean(),
  config: policyConfigSchema,
  /** Newest last. */
  versions: z.array(versionSchema),
  createdAt: epochMs,
  updatedAt: epochMs,
});
export type PolicyView = z.infer<typeof policyViewSchema>;

/** Bucket `agents`. Key: <tenant>.<project>.<policy>. */
export const managedAgentSchema = z.object({
  seq: z.int().positive(),
  tenant: z.string(),
  project: z.string(),
  policy: z.string(),
  agent: z.string(),
  mode: z.string(),
  provider: z.string(),
  tags: z.array(z.string()),
  state: z.enum(POLICY_STATES),
  /** What is wanted: `by-mode` until a person asks for something. */
  desired: z.enum(['by-mode', 'running', 'stopped', 'restarting', 'paused', 'removed']),
  /** In one line: why it is as it is. */
  reason: z.string(),
  version: z.int().positive(),
  /** Of the configuration that the agent was started with; null: it is not running. */
  runningVersion: z.int().positive().nullable(),
  spawnId: z.string().nullable(),
  host: z.string().nullable(),
  runnerId: z.string().nullable(),
  runnerVersion: z.string().nullable(),
  failures: z.int().nonnegative(),
  /** Planned ones, since the policy was made; crashes are not among them. */
  restarts: z.int().nonnegative(),
  crashes: z.int().nonnegative(),
  backoffUntil: epochMs.nullable(),
  limitedUntil: epochMs.nullable(),
  /** By when a start or stop has to have happened. */
  deadlineAt: epochMs.nullable(),
  lastError: z.object({ code: z.string(), message: z.string(), at: epochMs }).nullable(),
  stuck: stuckEvidenceSchema.nullable(),
  startedAt: epochMs.nullable(),
  healthySince: epochMs.nullable(),
  stoppedAt: epochMs.nullable(),
  /** Of the last change of `state`. */
  sinceAt: epochMs,
  updatedAt: epochMs,
});
export type ManagedAgentView = z.infer<typeof managedAgentSchema>;
