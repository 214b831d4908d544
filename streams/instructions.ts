// Instructions to runners and hosts (stream COMMANDS), appended by reactors with ids derived from the transition that caused them.
// An instruction is not a right: the runner claims the run from its owner before it does anything. Those to hosts are in host-instructions.ts.
import { z } from 'zod';
import { settledApprovalSchema } from './approvals.ts';
import { HOST_INSTRUCTIONS } from './host-instructions.ts';
import { commandIdSchema, nameSchema, runIdSchema, sessionIdSchema } from './ids.ts';
import { providerSchema, runRequestSchema } from './run.ts';

const turn = z.object({
  commandId: commandIdSchema,
  runId: runIdSchema,
  sessionId: sessionIdSchema,
  agent: nameSchema,
  provider: providerSchema,
  request: runRequestSchema,
  leaseMs: z.int().positive(),
  /** By the runner's clock: an earlier attempt could not start its program, and this one begins no sooner. */
  notBefore: z.int().nonnegative().optional(),
  /** Present: the turn was parked for these; go on with its conversation and no prompt. */
  approvals: z.array(settledApprovalSchema).optional(),
});

const cancel = z.object({ runId: runIdSchema, reason: z.string() });

const answerApproval = z.object({
  runId: runIdSchema,
  /** The claim whose program waits. */
  fence: z.int().positive(),
  approval: settledApprovalSchema,
});

const steer = z.object({
  runId: runIdSchema,
  /** The claim whose program is told. */
  fence: z.int().positive(),
  commandId: commandIdSchema,
  text: z.string().min(1),
});

const interrupt = z.object({
  runId: runIdSchema,
  /** The claim whose turn is ended. */
  fence: z.int().positive(),
  commandId: commandIdSchema,
  reason: z.string(),
});

/** Subject type token → event type and schema. */
export const INSTRUCTIONS = {
  turn: { type: 'fleetlog.command.turn.v1', schema: turn, means: 'Claim the run and do one turn of it.' },
  cancel: {
    type: 'fleetlog.command.cancel.v1',
    schema: cancel,
    means: 'End the turn of the run, if it is yours.',
  },
  'answer-approval': {
    type: 'fleetlog.command.answer-approval.v1',
    schema: answerApproval,
    means: 'Tell the program of the turn that waits for it.',
  },
  steer: {
    type: 'fleetlog.command.steer.v1',
    schema: steer,
    means: 'Give the words to the program of the turn, and report whether it took them.',
  },
  interrupt: {
    type: 'fleetlog.command.interrupt.v1',
    schema: interrupt,
    means: 'End the turn of the run, if it is yours; the run may go on with another one.',
  },
  ...HOST_INSTRUCTIONS,
} as const;

export type InstructionName = keyof typeof INSTRUCTIONS;
export type TurnInstruction = z.infer<typeof turn>;
export type CancelInstruction = z.infer<typeof cancel>;
export type AnswerInstruction = z.infer<typeof answerApproval>;
export type SteerInstruction = z.infer<typeof steer>;
export type InterruptInstruction = z.infer<typeof interrupt>;
