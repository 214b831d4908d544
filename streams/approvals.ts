// Approvals on the wire: a question to a person raised inside a run, and its answer. They live in the run aggregate (run.ts): the
// rules are in services/runs/run.approvals.decider.ts. What is approved is one exact call, named by its digest.
import { z } from 'zod';
import {
  approvalIdSchema,
  commandIdSchema,
  nameSchema,
  runIdSchema,
  sessionIdSchema,
  turnIdSchema,
} from './ids.ts';

const epochMs = z.int().nonnegative();
const fence = z.int().positive();
const about = { runId: runIdSchema, sessionId: sessionIdSchema };

/** Approvals that may be open in a run at once. */
export const OPEN_APPROVALS_LIMIT = 16;
/** Of the input of a call that is shown, as JSON. */
export const SHOWN_INPUT_BYTES = 32 * 1024;
/** Of an input that a person put in place of the call's, as JSON. */
export const EDITED_INPUT_CHARACTERS = 64 * 1024;
/** The longest a question may wait. */
export const APPROVAL_WAIT_LIMIT_MS = 30 * 24 * 3_600_000;

/**
 * What happens meanwhile. `held`: the program waits, its runner keeps the lease; `parked`: the program has ended and the claim is
 * given back with the question, so nothing runs until it is answered.
 */
export const approvalModeSchema = z.enum(['held', 'parked']);
export type ApprovalMode = z.infer<typeof approvalModeSchema>;

/** SHA-256 (hex) of the tool's name and its whole input: what is approved is this call and no other. */
export const callDigestSchema = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');

/** Who must allow a call, as settings and requests say it. Nothing said: anybody, alone. */
export const approvalRuleSchema = z.object({
  /** How many different people; 1 unless said. */
  approvers: z.int().min(1).max(10).optional(),
  /** The role that each of them must have. */
  role: nameSchema.optional(),
  /** Neither the agent that asks nor whoever started the run counts. */
  fourEyes: z.boolean().optional(),
});
export type ApprovalRule = z.infer<typeof approvalRuleSchema>;

/** Who must allow one call, decided when it was asked. */
export const approvalNeedsSchema = z.object({
  approvers: z.int().min(1).max(10),
  /** Each approver must have all of them. */
  roles: z.array(z.string()),
  fourEyes: z.boolean(),
  /** Actors that do not count. */
  excluded: z.array(z.string()),
});
export type ApprovalNeeds = z.infer<typeof approvalNeedsSchema>;

/** The call that waits. */
export const askedCallSchema = z.object({
  approvalId: approvalIdSchema,
  /** The program's own name for the call. */
  callId: z.string().min(1).max(200),
  tool: z.string().min(1).max(200),
  /** Redacted; where it is larger than what is shown, the beginning of its JSON as a text. */
  input: z.unknown(),
  /** Bytes of the input's JSON that are not in `input`. */
  inputCutBytes: z.int().nonnegative(),
  /** Of the call as the program means it, before redaction and cutting. */
  digest: callDigestSchema,
  /** What to decide, in words. */
  question: z.string().max(2000),
  mode: approvalModeSchema,
  /** Without an answer by then it counts as refused. */
  expiresAt: epochMs,
  /** What the runner's settings ask for. */
  rule: approvalRuleSchema.optional(),
});
export type AskedCall = z.infer<typeof askedCallSchema>;

/** What a person can say. `edit`: allowed with another input. */
export const answerSchema = z.enum(['approve', 'reject', 'edit']);

/** How an approval was settled: by a person, by time (it counts as refused), or because the program no longer asks. */
export const decisionSchema = z.enum([...answerSchema.options, 'expired', 'withdrawn']);
export type ApprovalDecision = z.infer<typeof decisionSchema>;

const message = z.string().max(4000);

/** A settled approval, as a runner needs it to go on. */
export const settledApprovalSchema = z.object({
  approvalId: approvalIdSchema,
  callId: z.string(),
  tool: z.string(),
  digest: callDigestSchema,
  decision: decisionSchema,
  /** The input to use instead; present exactly with `edit`. */
  input: z.unknown().optional(),
  message: message.optional(),
});
export type SettledApproval = z.infer<typeof settledApprovalSchema>;

/** A person is asked; a parked question ends its claim in the same append. */
export const approvalAskedSchema = z.object({
  type: z.literal('fleetlog.run.approval-asked.v1'),
  ...about,
  turnId: turnIdSchema,
  fence,
  ...askedCallSchema.shape,
  askedAt: epochMs,
  /** Absent: the first answer of anybody settles it. */
  needs: approvalNeedsSchema.optional(),
  /** Held ones whose program has ended with the parked one. */
  approvalsClosed: z.array(approvalIdSchema).optional(),
});

/** One of several approvals that a call needs; it still waits. */
export const approvalCountedSchema = z.object({
  type: z.literal('fleetlog.run.approval-counted.v1'),
  ...about,
  fence,
  approvalId: approvalIdSchema,
  callId: z.string(),
  digest: callDigestSchema,
  by: z.string().min(1).max(128),
  message: message.optional(),
  /** How many more are needed. */
  stillNeeded: z.int().positive(),
  countedAt: epochMs,
});

/** An approval is settled: the first answer counts. */
export const approvalAnsweredSchema = z.object({
  type: z.literal('fleetlog.run.approval-answered.v1'),
  ...about,
  /** The claim that asked. */
  fence,
  ...settledApprovalSchema.shape,
  /** `user:anna`, `service:runs` (expired), `agent:builder-1` (withdrawn). */
  by: z.string().min(1).max(128),
  /** All who have approved, where several had to; the last is `by`. */
  approvedBy: z.array(z.string()).optional(),
  /** The instruction that goes on with a parked run; null: its runner is told, or another question is still open. */
  commandId: commandIdSchema.nullable(),
  answeredAt: epochMs,
});

/** What can be done to the approvals of a run. */
export type ApprovalCommand =
  | {
      readonly kind: 'ask-approval';
      /** Who reports; a run is moved only by the agent it was given to. */
      readonly agent: string;
      readonly fence: number;
      readonly turnId: string;
      readonly call: AskedCall;
      /** By the runner's clock, as `call.expiresAt`. */
      readonly askedAt: number;
    }
  | {
      readonly kind: 'answer-approval';
      readonly approvalId: string;
      /** The call that the person has seen; absent: not said. */
      readonly digest?: string | undefined;
      readonly decision: z.infer<typeof answerSchema>;
      readonly input?: unknown;
      readonly message?: string | undefined;
      readonly by: string;
      /** Of whoever answers. */
      readonly roles?: readonly string[] | undefined;
      /** Whoever answers is known by a token of their own. */
      readonly isKnown?: boolean | undefined;
      /** Starts the next attempt, should the run be parked. */
      readonly nextCommandId: string;
    }
  /** Asked by the owner itself when the time is over. */
  | { readonly kind: 'expire-approval'; readonly approvalId: string; readonly nextCommandId: string }
  /** The program no longer asks. */
  | {
      readonly kind: 'withdraw-approval';
      readonly agent: string;
      readonly fence: number;
      readonly approvalId: string;
      readonly reason: string;
    };
