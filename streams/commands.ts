// Commands of a run on the wire: what people and tools tell it after it was created. Part of the run aggregate: their events stand on its
// subject (run.ts), and whatever ends the run ends them in the same append. The rules are in services/runs/run.commands.decider.ts.
import { z } from 'zod';
import { commandIdSchema, runIdSchema, sessionIdSchema, turnIdSchema } from './ids.ts';

/** A prompt, or words to a running turn, may have this many characters at most. */
export const PROMPT_LIMIT_CHARACTERS = 200_000;

/** A run takes this many commands in its life, and has this many open at once; more is for another run of the session. */
export const COMMANDS_LIMIT = 500;
export const OPEN_COMMANDS_LIMIT = 32;

/**
 * `turn`: one more turn of the run, done after those before it; `steer`: words to the turn that runs; `interrupt`: end the turn that runs and go on
 * with the next one, if there is one. The first turn is there with the run.
 */
export const commandTypeSchema = z.enum(['turn', 'steer', 'interrupt']);
export type CommandType = z.infer<typeof commandTypeSchema>;

/** States of a command; the last three absorb everything. `acknowledged`: its runner has it in hand. */
export const COMMAND_STATES = ['pending', 'acknowledged', 'completed', 'failed', 'cancelled'] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

const closedState = z.enum(['completed', 'failed', 'cancelled']);
const epochMs = z.int().nonnegative();
const fence = z.int().positive();
const about = { runId: runIdSchema, sessionId: sessionIdSchema };

/** What becomes of words that the running turn cannot take: the next turn is made of them, or they fail. */
export const otherwiseSchema = z.enum(['next-turn', 'fail']);
export type Otherwise = z.infer<typeof otherwiseSchema>;

/** Why words, or an interrupt, did not reach the program; a runner says one of these. */
export const commandFailureSchema = z.enum([
  /** The program takes no words during a turn. */
  'STEER_UNSUPPORTED',
  /** The turn was ending. */
  'TURN_OVER',
  /** The program did not take them. */
  'STEER_REFUSED',
]);
export type CommandFailure = z.infer<typeof commandFailureSchema>;

/** Commands that this very event ends, and how; the turn that it is about ends with it and is not among them. */
export const commandsClosedSchema = z
  .array(z.object({ commandId: commandIdSchema, state: closedState }))
  .optional();

export const commandCreatedSchema = z.object({
  type: z.literal('fleetlog.run.command-created.v1'),
  ...about,
  commandId: commandIdSchema,
  commandType: commandTypeSchema,
  /** Its number within the run; the first turn has 1. */
  commandSeq: z.int().min(2),
  /** Under which it is found again, at any later time; null: under its id only. */
  key: z.string().min(1).max(255).nullable(),
  /** SHA-256 (hex) of type and content: tells a repeat from another command under the same key. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** The prompt of a turn; the words of a steer; what to do instead after an interrupt. Null: an interrupt that says nothing. */
  text: z.string().min(1).max(PROMPT_LIMIT_CHARACTERS).nullable(),
  /** Of an interrupt. */
  reason: z.string().max(500).optional(),
  /** Of a steer. */
  otherwise: otherwiseSchema.optional(),
  /** The claim whose turn it is for; null: none runs yet. */
  fence: fence.nullable(),
  createdAt: epochMs,
});

export const commandAcknowledgedSchema = z.object({
  type: z.literal('fleetlog.run.command-acknowledged.v1'),
  ...about,
  commandId: commandIdSchema,
  turnId: turnIdSchema,
  fence,
  /** By the runner's clock. */
  acknowledgedAt: epochMs,
});

/** `deferred`: the words wait for the next turn. */
export const commandFinishedSchema = z.object({
  type: z.literal('fleetlog.run.command-finished.v1'),
  ...about,
  commandId: commandIdSchema,
  state: z.enum(['completed', 'failed', 'deferred']),
  /** Why it failed or was put off. */
  code: commandFailureSchema.optional(),
  message: z.string().max(1000).optional(),
  fence,
  /** By the runner's clock. */
  finishedAt: epochMs,
});

export const commandCancelledSchema = z.object({
  type: z.literal('fleetlog.run.command-cancelled.v1'),
  ...about,
  commandId: commandIdSchema,
  reason: z.string().max(500),
  cancelledAt: epochMs,
});

/** What whoever commands a run gives. */
interface CommandOrder {
  readonly commandId: string;
  readonly commandType: CommandType;
  readonly key: string | null;
  readonly hash: string;
  readonly text: string | null;
  readonly reason?: string | undefined;
  readonly otherwise?: Otherwise | undefined;
}

/** What can be asked of a run about its commands; reports of runners carry their fence. */
export type CommandCommand =
  | ({ readonly kind: 'create-command' } & CommandOrder)
  | { readonly kind: 'cancel-command'; readonly commandId: string; readonly reason: string }
  | {
      readonly kind: 'acknowledge-command';
      /** Who reports; a run is moved only by the agent it was given to. */
      readonly agent: string;
      readonly fence: number;
      readonly turnId: string;
      readonly commandId: string;
      readonly acknowledgedAt: number;
    }
  | {
      readonly kind: 'finish-command';
      readonly agent: string;
      readonly fence: number;
      readonly commandId: string;
      readonly state: 'completed' | 'failed';
      readonly code?: CommandFailure | undefined;
      readonly message?: string | undefined;
      readonly finishedAt: number;
    };
