// The key-value buckets and what their values look like: readable JSON, each a fold stamped with the sequence it reflects.
// Keys: <tenant>.<project>.<id>. Derived buckets can be dropped and rebuilt from the log at any time.
import type { BucketDefinition, ObjectStoreDefinition } from '#libs/topology/definitions.ts';
import { z } from 'zod';
import { approvalModeSchema, approvalNeedsSchema, decisionSchema } from './approvals.ts';
import { COMMAND_STATES, commandFailureSchema, commandTypeSchema } from './commands.ts';
import { machineFactsSchema } from './machine-facts.ts';
import { runFailureSchema } from './run-requests.ts';
import { providerSchema, RUN_STATES } from './run.ts';
import { turnResultSchema, usageSchema } from './turn-result.ts';
import type { Boundary } from './subjects.ts';

const epochMs = z.int().nonnegative();
/** Stream sequence of the last entry folded into the value. */
const seq = z.int().positive();

/** A command of a run as shown. */
export const shownCommandSchema = z.object({
  commandId: z.string(),
  /** Its number within the run; the first turn has 1. */
  seq: z.int().positive(),
  type: commandTypeSchema,
  state: z.enum(COMMAND_STATES),
  /** The beginning of what was said; null: nothing, or the run's own prompt. */
  text: z.string().nullable(),
  /** Why its runner did not pass it on; null: it did, or nobody has asked it to. */
  code: commandFailureSchema.nullable(),
  createdAt: epochMs,
  acknowledgedAt: epochMs.nullable(),
  endedAt: epochMs.nullable(),
});
export type ShownCommand = z.infer<typeof shownCommandSchema>;

/** Bucket `runs`, folded from the run transitions of TRANSITIONS. */
export const runViewSchema = z.object({
  seq,
  tenant: z.string(),
  project: z.string(),
  runId: z.string(),
  sessionId: z.string(),
  agent: z.string(),
  provider: providerSchema,
  title: z.string().nullable(),
  state: z.enum(RUN_STATES),
  attempt: z.int().nonnegative(),
  maxAttempts: z.int().positive(),
  fence: z.int().nullable(),
  runnerId: z.string().nullable(),
  leaseMs: z.int().positive(),
  turnId: z.string().nullable(),
  cancelReason: z.string().nullable(),
  failure: runFailureSchema.nullable(),
  result: turnResultSchema.nullable(),
  /** Approvals that wait for an answer. */
  openApprovals: z
    .array(z.object({ approvalId: z.string(), tool: z.string(), expiresAt: epochMs }))
    .default([]),
  /** Claims that are no attempts of the turn that is due: those that parked a question, and those of earlier turns. */
  parkings: z.int().nonnegative().default(0),
  /** The command that is the turn due, under way or done last. */
  turnCommandId: z.string().default(''),
  /** What the run was told, by number. */
  commands: z.array(shownCommandSchema).default([]),
  createdAt: epochMs,
  claimedAt: epochMs.nullable(),
  startedAt: epochMs.nullable(),
  endedAt: epochMs.nullable(),
  updatedAt: epochMs,
});
export type RunView = z.infer<typeof runViewSchema>;

/** How an approval stands. `closed`: the run went on or ended without an answer. */
export const APPROVAL_STATES = ['open', 'closed', ...decisionSchema.options] as const;

export const shownApprovalSchema = z.object({
  approvalId: z.string(),
  callId: z.string(),
  tool: z.string(),
  /** Redacted. Of a settled approval only while it is small. */
  input: z.unknown(),
  inputCutBytes: z.int().nonnegative(),
  digest: z.string(),
  question: z.string(),
  mode: approvalModeSchema,
  fence: z.int().positive(),
  turnId: z.string(),
  state: z.enum(APPROVAL_STATES),
  by: z.string().nullable(),
  message: z.string().nullable(),
  askedAt: epochMs,
  expiresAt: epochMs,
  settledAt: epochMs.nullable(),
  /** Who must allow it; null: the first answer of anybody settles it. */
  needs: approvalNeedsSchema.nullable().default(null),
  /** Who has approved so far, where several must. */
  approvedBy: z.array(z.string()).default([]),
  /** Approvals that are missing; 0: none, or it waits no more. */
  stillNeeded: z.int().nonnegative().default(1),
});
export type ShownApproval = z.infer<typeof shownApprovalSchema>;

/** Bucket `approvals`, folded from the run transitions of TRANSITIONS, one key per run that has ever asked. */
export const approvalsViewSchema = z.object({
  seq,
  tenant: z.string(),
  project: z.string(),
  runId: z.string(),
  sessionId: z.string(),
  /** Oldest first: all that are open, and the last ones that are not. */
  approvals: z.array(shownApprovalSchema),
});
export type ApprovalsView = z.infer<typeof approvalsViewSchema>;

/** Bucket `activity`, folded from the reports of EVENTS, one key per run: what is going on inside it. */
export const activityViewSchema = z.object({
  seq,
  tenant: z.string(),
  project: z.string(),
  runId: z.string(),
  sessionId: z.string(),
  agent: z.string(),
  /** Bounds of the run's reports in EVENTS: a reader of the run never scans outside them. */
  firstSeq: seq,
  lastSeq: seq,
  reports: z.int().positive(),
  tools: z.int().nonnegative(),
  filesChanged: z.int().nonnegative(),
  refused: z.int().nonnegative(),
  lastText: z.string().max(500).nullable(),
  usage: usageSchema.nullable(),
  lastReportAt: epochMs,
});
export type ActivityView = z.infer<typeof activityViewSchema>;

/** Bucket `leases` (keys expire): who holds a run. Key: <tenant>.<project>.run.<runId>. */
export const leaseSchema = z.object({
  runId: z.string(),
  runnerId: z.string(),
  fence: z.int().positive(),
  renewedAt: epochMs,
});
export type Lease = z.infer<typeof leaseSchema>;

/** Bucket `leases`: until when an approval may be answered. Key: <tenant>.<project>.approval.<runId>.<approvalId>. */
export interface ApprovalDeadline {
  readonly runId: string;
  readonly approvalId: string;
  readonly expiresAt: number;
}

/** Bucket `presence` (keys expire): which runners are alive. Key: <tenant>.<project>.runner.<agent>. Hosts: host-views.ts. */
export const presenceSchema = z.object({
  agent: z.string(),
  runnerId: z.string(),
  providers: z.array(z.string()),
  version: z.string(),
  startedAt: epochMs,
  seenAt: epochMs,
  buffered: z.int().nonnegative(),
  slots: z.int().positive().optional(),
  labels: z.array(z.string()).optional(),
  /** Of the contract that it speaks; absent: from before there was one. */
  contract: z.int().nonnegative().optional(),
  /** Of a managed agent: which start of it this is, and its host. */
  spawnId: z.string().optional(),
  host: z.string().optional(),
  /** Turns in hand. */
  active: z.int().nonnegative().optional(),
  machine: machineFactsSchema.optional(),
  account: z.string().optional(),
});
export type Presence = z.infer<typeof presenceSchema>;

/** Key of a value of `runs`, `sessions`, `activity` or `sources`. */
export const viewKey = (boundary: Boundary, id: string): string =>
  `${boundary.tenant}.${boundary.project}.${id}`;
/** Key of a run's lease. */
export const leaseKey = (boundary: Boundary, runId: string): string =>
  `${boundary.tenant}.${boundary.project}.run.${runId}`;
/** Key of an approval's deadline. */
export const approvalDeadlineKey = (boundary: Boundary, runId: string, approvalId: string): string =>
  `${boundary.tenant}.${boundary.project}.approval.${runId}.${approvalId}`;
/** Key of a runner's presence. */
export const presenceKey = (boundary: Boundary, agent: string): string =>
  `${boundary.tenant}.${boundary.project}.runner.${agent}`;

/** Buckets that are folds, each with a scratch bucket beside it that a rebuild folds into. */
const DERIVED_BUCKETS = [
  'runs',
  'sessions',
  'activity',
  'approvals',
  'sources',
  'tasks',
  'messages',
  'obligations',
  'hosts',
  'policies',
  'agents',
] as const;
/** The scratch bucket of a derived one; empty but while `fleetlog projections rebuild` works. */
export const scratchBucket = (bucket: string): string => `${bucket}-rebuild`;

/** Buckets that are no folds, and whose keys stay. */
const LASTING_BUCKETS = [
  ['cursors', 'Up to which version a reader has seen a session or a task.'],
  ['reactors', 'How far the reactors that follow a log have come, each under its name.'],
  ['directory', 'Agents that were given a user at the broker, besides those of the settings.'],
] as const;

/** Buckets whose keys expire. */
const EXPIRING_BUCKETS = [
  ['leases', 'Who holds a run, and until when a question may be answered.'],
  ['receipts', 'The first answers of requests under an idempotency key.'],
  ['presence', 'Which runners and hosts are alive.'],
] as const;

/** Declares the buckets. */
export const bucketDefinitions = (replicas: number): readonly BucketDefinition[] => [
  { name: 'runs', description: 'Summary of every run.', history: 1, replicas, holds: 'derived' },
  { name: 'sessions', description: 'Summary of every session.', history: 1, replicas, holds: 'derived' },
  { name: 'activity', description: 'What each run reported so far.', history: 1, replicas, holds: 'derived' },
  {
    name: 'approvals',
    description: 'What people were asked, by run.',
    history: 1,
    replicas,
    holds: 'derived',
  },
  {
    name: 'sources',
    description: 'What is missing of the reports of each runner.',
    history: 1,
    replicas,
    holds: 'derived',
  },
  { name: 'messages', description: 'What became of every message.', history: 1, replicas, holds: 'derived' },
  {
    name: 'obligations',
    description: 'The replies that each agent owes.',
    history: 1,
    replicas,
    holds: 'derived',
  },
  { name: 'tasks', description: 'Summary of every task.', history: 1, replicas, holds: 'derived' },
  { name: 'hosts', description: 'Summary of every host.', history: 1, replicas, holds: 'derived' },
  ...LASTING_BUCKETS.map(([name, description]): BucketDefinition => ({
    name,
    description,
    history: 1,
    replicas,
    holds: 'state',
  })),
  {
    name: 'policies',
    description: 'Configuration of every policy, with its versions; the bucket keeps earlier values.',
    history: 16,
    replicas,
    holds: 'derived',
  },
  { name: 'agents', description: 'How each managed agent stands.', history: 1, replicas, holds: 'derived' },
  ...DERIVED_BUCKETS.map((bucket): BucketDefinition => ({
    name: scratchBucket(bucket),
    description: `Scratch of a rebuild of ${bucket}.`,
    history: 1,
    replicas,
    holds: 'derived',
  })),
  ...EXPIRING_BUCKETS.map(([name, description]): BucketDefinition => ({
    name,
    description,
    // With more, the expiry of the newest revision would bring back an older one (nats-facts §7).
    history: 1,
    replicas,
    markerTtlMs: 60_000,
    holds: 'state',
  })),
];

/** Declares the object stores. */
export const objectStoreDefinitions = (replicas: number): readonly ObjectStoreDefinition[] => [
  {
    name: 'bodies',
    description: 'Bodies over the inline limit, by SHA-256.',
    replicas,
    // Twice the age of the reports that refer to them: a body that two reports share is stored with the first.
    maxAgeMs: 60 * 24 * 3_600_000,
    maxBytes: 1024 ** 3 / 2,
  },
];
