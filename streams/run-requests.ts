// Requests that the runs service answers (requests.ts has what all services share). The control plane asks at fleet-api.<tenant>.<project>.runs.<operation>,
// a runner at …runs.<operation>.<agent>: its agent stands in the subject, where the broker checks it, and not in the body.
import { z } from 'zod';
import { answerSchema, callDigestSchema, EDITED_INPUT_CHARACTERS } from './approvals.ts';
import { machineFactsSchema } from './machine-facts.ts';
import {
  approvalIdSchema,
  commandIdSchema,
  nameSchema,
  runIdSchema,
  sessionIdSchema,
  spawnIdSchema,
  turnIdSchema,
} from './ids.ts';
import { RUN_COMMAND_REQUESTS } from './run-command-requests.ts';
import { actorSchema, answering, type AnswerOf, type RequestOf } from './requests.ts';
import { providerSchema, replayRuleSchema, RUN_STATES, runRequestSchema, taskLinkSchema } from './run.ts';
import { failureSchema } from './turn-result.ts';

/** Where the run's transition stands in TRANSITIONS: pass it to a read to see at least this. */
const position = { runId: runIdSchema, seq: z.int().positive() };

/** An answer as whoever gives it puts it; the same fields over HTTP. */
export const approvalAnswerShape = {
  decision: answerSchema,
  /** The call that was looked at; an answer to another one is refused. */
  digest: callDigestSchema.optional(),
  /** With `edit` and only with it: the whole input to use instead. */
  input: z
    .unknown()
    .refine(
      (input) => (JSON.stringify(input) ?? '').length <= EDITED_INPUT_CHARACTERS,
      `an input has ${EDITED_INPUT_CHARACTERS} characters of JSON at most`,
    )
    .optional(),
  /** Told to the agent. */
  message: z.string().max(4000).optional(),
};

/** Why the fields of an answer do not go together; undefined when they do. */
export const answerMistake = (answer: {
  readonly decision: string;
  readonly input?: unknown;
}): string | undefined => {
  const isEdit = answer.decision === 'edit';
  if (isEdit === (answer.input !== undefined)) return undefined;
  return isEdit ? 'edit needs the input to use instead' : 'only edit takes an input';
};

export const RUN_REQUESTS = {
  create: {
    means:
      'Create a run. The same run id with the same request answers with the first one; with another request it is refused.',
    request: z.object({
      runId: runIdSchema,
      sessionId: sessionIdSchema,
      agent: nameSchema,
      provider: providerSchema,
      title: z.string().max(120).nullable(),
      request: runRequestSchema.refine(
        ({ prompt }) => prompt.trim() !== '',
        'a prompt must say something: blanks alone do nothing',
      ),
      replay: replayRuleSchema,
      maxAttempts: z.int().min(1).max(100),
      leaseMs: z.int().min(2000).max(3_600_000),
      task: taskLinkSchema.optional(),
      /** Agent or person that is told once how the run ended. */
      parent: nameSchema.optional(),
      /** The run whose work it does once more. */
      retryOf: runIdSchema.optional(),
      /** The session may be one that is not there yet: its first run opens it. Without it an unknown one is refused; no part of what must be the same. */
      mayOpenSession: z.boolean().optional(),
      /** On whose behalf the run is, where that is not the actor; no part of what must be the same. */
      startedBy: actorSchema.optional(),
      actor: actorSchema,
    }),
    answer: answering(
      z.object({
        ...position,
        sessionId: sessionIdSchema,
        repeated: z.boolean(),
        /** The run as it is now: a repeated request learns what has become of it. */
        state: z.enum(RUN_STATES),
        /** The last turn that has started; null: no program has seen the prompt. */
        turnId: turnIdSchema.nullable(),
      }),
    ),
  },
  cancel: {
    means: 'Cancel a run. An ended run is left as it is.',
    request: z.object({ runId: runIdSchema, reason: z.string().min(1).max(500), actor: actorSchema }),
    answer: answering(z.object({ ...position, state: z.string() })),
  },
  ...RUN_COMMAND_REQUESTS,
  'answer-approval': {
    means:
      'Answer an approval of a run. The first answer counts; the same answer id with the same answer gives the first result again.',
    request: z
      .object({
        runId: runIdSchema,
        approvalId: approvalIdSchema,
        /** Made by whoever answers: what is repeated is one answer. */
        answerId: z.string().min(1).max(300),
        ...approvalAnswerShape,
        /** Of whoever answers, as far as the control plane knows. */
        roles: z.array(nameSchema).max(32).optional(),
        /** Whoever answers is known by a token of their own. */
        isKnown: z.boolean().optional(),
        actor: actorSchema,
      })
      .refine((answer) => answerMistake(answer) === undefined, 'decision and input do not go together'),
    answer: answering(
      z.object({
        ...position,
        approvalId: approvalIdSchema,
        decision: answerSchema,
        repeated: z.boolean(),
        /** Approvals that are missing after this one; 0: it is settled. */
        stillNeeded: z.int().nonnegative(),
      }),
    ),
  },
  claim: {
    means:
      'Take a queued run of the asking agent under a lease; gives the fence that every report must carry.',
    request: z.object({
      runId: runIdSchema,
      runnerId: z.string().min(1).max(128),
      claimId: z.string().min(1).max(128),
      /** The instruction that it follows; where it is that of an earlier attempt, a parked run is not given. */
      commandId: commandIdSchema.optional(),
    }),
    answer: answering(z.object({ ...position, fence: z.int().positive(), leaseMs: z.int().positive() })),
  },
  renew: {
    means:
      'Keep the lease of a claimed run; says whether cancel was asked for. A lost lease is refused: stop the work.',
    request: z.object({
      runId: runIdSchema,
      runnerId: z.string().min(1).max(128),
      fence: z.int().positive(),
    }),
    answer: answering(z.object({ leaseMs: z.int().positive(), cancelRequested: z.boolean() })),
  },
  announce: {
    means: 'Say that a runner is alive; it counts as gone `ttlMs` after its last word (whole seconds).',
    request: z.object({
      runnerId: z.string().min(1).max(128),
      providers: z.array(providerSchema).max(16),
      version: z.string().max(64),
      /** Of the contract that it speaks (contract-version.ts); absent: from before there was one. */
      contract: z.int().nonnegative().optional(),
      /** Of a runner that a host has started: which start it is, and the host. That is the registration of a managed agent. */
      spawnId: spawnIdSchema.optional(),
      host: nameSchema.optional(),
      /** Turns in hand; absent: it does not say. */
      active: z.int().nonnegative().optional(),
      startedAt: z.int().nonnegative(),
      /** Reports that wait in the runner's buffer. */
      buffered: z.int().nonnegative(),
      /** Turns that it does at once; absent: one. */
      slots: z.int().min(1).max(1000).optional(),
      /** What it has been given besides its programs, for tasks that ask for it. */
      labels: z.array(nameSchema).max(64).optional(),
      /** The machine that it is on; absent: nobody has looked. */
      machine: machineFactsSchema.optional(),
      /** Whose quota its programs use up; absent: its agent's own. */
      account: nameSchema.optional(),
      ttlMs: z.int().min(2000).max(600_000),
    }),
    answer: answering(z.object({ ttlMs: z.int().positive() })),
  },
} as const;

export type RunOperation = keyof typeof RUN_REQUESTS;

/** What runners ask for, each in the name of its agent; the rest is asked by the control plane. */
export const RUNNER_OPERATIONS = ['claim', 'renew', 'announce'] as const satisfies readonly RunOperation[];
export type RunnerOperation = (typeof RUNNER_OPERATIONS)[number];
export const isRunnerOperation = (operation: RunOperation): operation is RunnerOperation =>
  (RUNNER_OPERATIONS as readonly RunOperation[]).includes(operation);
export type RunRequestOf<Op extends RunOperation> = RequestOf<typeof RUN_REQUESTS, Op>;
export type RunAnswerOf<Op extends RunOperation> = AnswerOf<typeof RUN_REQUESTS, Op>;
/** What an operation gives when it is not refused. */
export type RunResultOf<Op extends RunOperation> = Extract<RunAnswerOf<Op>, { outcome: 'ok' }>['result'];

/** Why a run failed, for summaries that carry it. */
export const runFailureSchema = failureSchema.extend({ message: z.string() });
