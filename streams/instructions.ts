// Instructions to runners (stream COMMANDS), appended by reactors with ids derived from the transition that caused them.
// An instruction is not a right: the runner claims the run from its owner before it does anything.
import { z } from 'zod';
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
});

const cancel = z.object({ runId: runIdSchema, reason: z.string() });

/** Subject type token → event type and schema. */
export const INSTRUCTIONS = {
  turn: { type: 'fleetlog.command.turn.v1', schema: turn, means: 'Claim the run and do one turn of it.' },
  cancel: {
    type: 'fleetlog.command.cancel.v1',
    schema: cancel,
    means: 'End the turn of the run, if it is yours.',
  },
} as const;

export type InstructionName = keyof typeof INSTRUCTIONS;
export type TurnInstruction = z.infer<typeof turn>;
export type CancelInstruction = z.infer<typeof cancel>;
