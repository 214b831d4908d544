// The run aggregate on the wire: its commands, its events and their schemas. One piece of work in a session:
// queued, claimed under a lease, executed, ended. The rules are in services/runs/run.decider.ts.
import { z } from 'zod';
import {
  approvalAnsweredSchema,
  approvalAskedSchema,
  approvalCountedSchema,
  approvalRuleSchema,
  type ApprovalCommand,
} from './approvals.ts';
import {
  commandAcknowledgedSchema,
  commandCancelledSchema,
  commandCreatedSchema,
  commandFinishedSchema,
  commandsClosedSchema,
  PROMPT_LIMIT_CHARACTERS,
  type CommandCommand,
} from './commands.ts';
import {
  approvalIdSchema,
  commandIdSchema,
  nameSchema,
  runIdSchema,
  sessionIdSchema,
  taskIdSchema,
  turnIdSchema,
} from './ids.ts';
import { failureSchema, turnResultSchema, type TurnResult } from './turn-result.ts';

/**
 * Programs an agent can be driven by. `exec`: any program that reads a prompt on stdin and prints NDJSON events; `claude`: Claude Code;
 * `codex`: Codex; `acp`: any agent that speaks the Agent Client Protocol. A run fails (`infra-failed`) when its runner does not have
 * the program.
 */
export const PROVIDERS = ['exec', 'claude', 'codex', 'acp'] as const;
export const providerSchema = z.enum(PROVIDERS);
export type ProviderName = z.infer<typeof providerSchema>;

/** What happens to a run whose lease expired: `requeue` starts it again (up to `maxAttempts` claims), `fail` ends it. */
export const replayRuleSchema = z.enum(['requeue', 'fail']);

/**
 * What counts as done. `turn-end`: a clean end of the turn; `signal`: only the agent's own word (a result line of an `exec` program, `done` of
 * the local control endpoint or of the MCP server): a clean end without it has `yielded`.
 */
const completionSchema = z.enum(['turn-end', 'signal']);
export type Completion = z.infer<typeof completionSchema>;

/**
 * What to do when a program is not in the conversation it was asked to go on with. `accept`: go on where it is; `re-prime`: start anew, with
 * a summary of the conversation so far before the prompt; `fail`: end the run (`session-lost`) and keep asking for the old one.
 */
const resumeMismatchSchema = z.enum(['accept', 're-prime', 'fail']);
export type ResumeMismatch = z.infer<typeof resumeMismatchSchema>;

/** Which conversation of its program a run works in: `resume` (the default) goes on with that of its session, `new` begins another. */
export const conversationSchema = z.enum(['resume', 'new']);

const epochMs = z.int().nonnegative();
const fence = z.int().positive();
/** Approvals that were open and are closed by this very event, unanswered. */
const approvalsClosed = z.array(approvalIdSchema).optional();
/** What an event that ends a claim or the run closes with it. */
const closes = { approvalsClosed, commandsClosed: commandsClosedSchema };

/** A name of a branch, tag or commit that cannot be taken for an option. */
const gitRefSchema = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}$/);

/** Which git worktree a run works in. */
const checkoutSchema = z.object({
  /** One of the repositories in the runner's settings, by name; absent: the first. */
  repository: nameSchema.optional(),
  /** What the worktree's own branch begins at; absent: what the repository has checked out. */
  branch: gitRefSchema.optional(),
});

/** The work asked for: what the provider needs to do its turn. */
export const runRequestSchema = z.object({
  prompt: z.string().min(1).max(PROMPT_LIMIT_CHARACTERS),
  /** `exec`: program and arguments, run in the workspace folder; absent: the runner's configured default program. */
  program: z.array(z.string().min(1).max(4096)).min(1).max(64).optional(),
  /** Folder name under the runner's workspace root; absent: the session's own. */
  workspace: nameSchema.optional(),
  /** Hard limit for the turn. */
  turnTimeoutMs: z.int().min(1000).max(86_400_000),
  /** Absent: `turn-end`. */
  completion: completionSchema.optional(),
  /** Absent: the runner's own rule. */
  resumeMismatch: resumeMismatchSchema.optional(),
  /** Absent: `resume`. */
  conversation: conversationSchema.optional(),
  /** Work in a git worktree of its own instead of a plain folder; absent: the runner's own rule. */
  checkout: checkoutSchema.optional(),
  /** Who must allow what its program asks about, besides what the runner's settings say. */
  approvals: approvalRuleSchema.optional(),
});
export type RunRequest = z.infer<typeof runRequestSchema>;

/** The attempt of a task that a run is. */
export const taskLinkSchema = z.object({ taskId: taskIdSchema, attempt: z.int().positive() });

const createdSchema = z.object({
  type: z.literal('fleetlog.run.created.v1'),
  runId: runIdSchema,
  sessionId: sessionIdSchema,
  agent: nameSchema,
  provider: providerSchema,
  title: z.string().max(120).nullable(),
  request: runRequestSchema,
  /** SHA-256 (hex) of the whole request: tells the repeat of a request from another one under the same idempotency key. */
  requestHash: z.string().regex(/^[0-9a-f]{64}$/),
  commandId: commandIdSchema,
  replay: replayRuleSchema,
  maxAttempts: z.int().min(1).max(100),
  leaseMs: z.int().min(2000).max(3_600_000),
  task: taskLinkSchema.optional(),
  /** Agent or person that is told once how the run ended. */
  parent: nameSchema.optional(),
  /** The ended run whose work it does once more. */
  retryOf: runIdSchema.optional(),
  /** Who asked for the work: `user:anna`. */
  startedBy: z.string().min(1).max(128).optional(),
  createdAt: epochMs,
});

/** Every event names its run and session, so that it can be read and folded alone. */
const about = { runId: runIdSchema, sessionId: sessionIdSchema };

const claimedSchema = z.object({
  type: z.literal('fleetlog.run.claimed.v1'),
  ...about,
  runnerId: z.string().min(1).max(128),
  fence,
  leaseMs: z.int().positive(),
  claimedAt: epochMs,
});

const turnStartedSchema = z.object({
  type: z.literal('fleetlog.run.turn-started.v1'),
  ...about,
  turnId: turnIdSchema,
  fence,
  startedAt: epochMs,
  /** Words that waited for it: its runner is told them now. */
  commandIds: z.array(commandIdSchema).optional(),
});

const leaseExpiredSchema = z.object({
  type: z.literal('fleetlog.run.lease-expired.v1'),
  ...about,
  fence,
  runnerId: z.string(),
  /** What becomes of the run, by its replay rule and the attempts used. */
  next: z.enum(['queued', 'failed', 'cancelled']),
  /** The instruction that a requeued run is started with; null otherwise. */
  commandId: commandIdSchema.nullable(),
  expiredAt: epochMs,
  /** Present when the runner itself said that it could not go on, before the lease was over. */
  reason: z.string().max(500).optional(),
  /** The next attempt begins no sooner after `expiredAt`: there was nothing to go on with, and it may be there again. */
  retryAfterMs: z.int().positive().optional(),
  /** The turn to do next, where it is another one: the lost one was being interrupted. */
  turnCommandId: commandIdSchema.optional(),
  ...closes,
});

/** A turn is over and the run is not: there is a further turn to do. */
const turnFinishedSchema = z.object({
  type: z.literal('fleetlog.run.turn-finished.v1'),
  ...about,
  turnId: turnIdSchema,
  fence,
  result: turnResultSchema,
  /** The command that the next turn does, and the instruction that it is started with. */
  turnCommandId: commandIdSchema,
  commandId: commandIdSchema,
  endedAt: epochMs,
  ...closes,
});

const cancelRequestedSchema = z.object({
  type: z.literal('fleetlog.run.cancel-requested.v1'),
  ...about,
  reason: z.string().max(500),
  fence,
  requestedAt: epochMs,
  approvalsClosed,
});

const ended = {
  ...about,
  /** The claim it ended under; null when no runner held it. */
  fence: fence.nullable(),
  turnId: turnIdSchema.nullable(),
  endedAt: epochMs,
  ...closes,
};

const completedSchema = z.object({
  type: z.literal('fleetlog.run.completed.v1'),
  ...ended,
  result: turnResultSchema,
});

const blockedSchema = z.object({
  type: z.literal('fleetlog.run.blocked.v1'),
  ...ended,
  /** What the agent waits for, in its words. */
  reason: z.string().max(2000),
  result: turnResultSchema,
});

const failedSchema = z.object({
  type: z.literal('fleetlog.run.failed.v1'),
  ...ended,
  failure: failureSchema,
  result: turnResultSchema.nullable(),
});

const cancelledSchema = z.object({
  type: z.literal('fleetlog.run.cancelled.v1'),
  ...ended,
  reason: z.string().max(500),
  result: turnResultSchema.nullable(),
});

/** Every event that was ever appended to a run's subject. Unknown keys are dropped at reading: changes are additive. */
export const runEventSchema = z.discriminatedUnion('type', [
  createdSchema,
  claimedSchema,
  turnStartedSchema,
  leaseExpiredSchema,
  cancelRequestedSchema,
  completedSchema,
  blockedSchema,
  failedSchema,
  cancelledSchema,
  approvalAskedSchema,
  approvalCountedSchema,
  approvalAnsweredSchema,
  turnFinishedSchema,
  commandCreatedSchema,
  commandAcknowledgedSchema,
  commandFinishedSchema,
  commandCancelledSchema,
]);
export type RunEvent = z.infer<typeof runEventSchema>;
export type RunCreated = z.infer<typeof createdSchema>;

/** What can be asked of a run. `create` carries the whole event data but its type; reports of runners carry their fence. */
export type RunCommand =
  | { readonly kind: 'create'; readonly data: Omit<RunCreated, 'type' | 'createdAt'> }
  /** `agent`: who asks; a run is claimed only by the agent it was given to. */
  | {
      readonly kind: 'claim';
      readonly agent: string;
      readonly runnerId: string;
      /** The instruction that it follows, as far as said. */
      readonly commandId?: string | undefined;
      /** The claim whose lease is held already (0: none): one that would become another is refused, for it would have no lease. */
      readonly leasedFence?: number;
    }
  | {
      readonly kind: 'start-turn';
      /** Who reports; a run is moved only by the agent it was given to. */
      readonly agent: string;
      readonly fence: number;
      readonly turnId: string;
      readonly startedAt: number;
    }
  | {
      readonly kind: 'finish-turn';
      /** Starts the next attempt, should the runner report itself lost and the run be tried again. */
      readonly nextCommandId: string;
      /** Who reports; a run is moved only by the agent it was given to. */
      readonly agent: string;
      readonly fence: number;
      readonly turnId: string;
      readonly result: TurnResult;
      readonly endedAt: number;
    }
  /** Asked by the owner itself once it has seen that the lease key is gone. `commandId` starts the next attempt. */
  | { readonly kind: 'expire-lease'; readonly fence: number; readonly commandId: string }
  | { readonly kind: 'cancel'; readonly reason: string }
  | ApprovalCommand
  | CommandCommand;

/** States of a run; the last four absorb everything. `waiting`: for a person's answer to an approval. */
export const RUN_STATES = [
  'queued',
  'claimed',
  'running',
  'waiting',
  'cancelling',
  'completed',
  'blocked',
  'failed',
  'cancelled',
] as const;
export type RunStateName = (typeof RUN_STATES)[number];
