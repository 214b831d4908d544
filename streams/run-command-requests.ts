// Requests about the commands of a run, about doing an ended run once more, and about what a run waits for: part of those that the runs
// service answers to the control plane (run-requests.ts).
import { z } from 'zod';
import {
  COMMAND_STATES,
  commandTypeSchema,
  otherwiseSchema,
  PROMPT_LIMIT_CHARACTERS,
  type CommandType,
} from './commands.ts';
import { commandIdSchema, runIdSchema, sessionIdSchema } from './ids.ts';
import { actorSchema, answering } from './requests.ts';
import { conversationSchema, RUN_STATES } from './run.ts';

const position = { runId: runIdSchema, seq: z.int().positive() };

/** A prompt, or words, as people give them. */
export const promptSchema = z
  .string()
  .max(PROMPT_LIMIT_CHARACTERS, `a prompt has ${PROMPT_LIMIT_CHARACTERS} characters at most`)
  .refine((text) => text.trim() !== '', 'it must say something: blanks alone do nothing');

/** A command as whoever gives it puts it; the same fields over HTTP. */
export const commandOrderShape = {
  type: commandTypeSchema,
  /** The prompt of a turn, the words of a steer; what to do instead after an interrupt. */
  text: promptSchema.optional(),
  /** Of an interrupt. */
  reason: z.string().min(1).max(500).optional(),
  /** Of a steer, where the running turn cannot take the words: default `next-turn`. */
  otherwise: otherwiseSchema.optional(),
};

/** Why the fields of a command do not go together; undefined when they do. */
export const commandMistake = (order: {
  readonly type: CommandType;
  readonly text?: string | undefined;
  readonly reason?: string | undefined;
  readonly otherwise?: string | undefined;
}): { readonly path: string; readonly message: string } | undefined => {
  const { type, text, reason, otherwise } = order;
  if (type !== 'interrupt' && text === undefined) return { path: 'text', message: `a ${type} needs a text` };
  if (type !== 'interrupt' && reason !== undefined)
    return { path: 'reason', message: 'only an interrupt has a reason' };
  if (type !== 'steer' && otherwise !== undefined)
    return { path: 'otherwise', message: 'only a steer can wait for the next turn, or fail' };
  return undefined;
};

const placedCommand = z.object({
  ...position,
  commandId: commandIdSchema,
  /** Its number within the run. */
  commandSeq: z.int().positive(),
  type: commandTypeSchema,
  state: z.enum(COMMAND_STATES),
  runState: z.enum(RUN_STATES),
  repeated: z.boolean(),
});

/** What a run waits for, most telling first. */
export const WAITS_FOR = [
  'nothing',
  'no-runner',
  'no-provider',
  'runner-busy',
  'runner',
  'lease-lingers',
  'instruction-lost',
  'program',
  'program-end',
  'lease-lost',
  'answer',
  'answer-overdue',
] as const;

export const unstuckSchema = z.object({
  ...position,
  state: z.enum(RUN_STATES),
  waitsFor: z.enum(WAITS_FOR),
  /** In plain words, one sentence each. */
  words: z.array(z.string()),
  /** What would help without a person, in words; null: nothing would. */
  remedy: z.string().nullable(),
  /** It was done. */
  fixed: z.boolean(),
});

/** Operation → request and answer, as part of the requests of the runs service. */
export const RUN_COMMAND_REQUESTS = {
  'create-command': {
    means:
      'Tell a run something: a further turn, words to the running one, or to interrupt it. The same key with the same content gives the first command again, also when the run has ended.',
    request: z
      .object({
        runId: runIdSchema,
        commandId: commandIdSchema,
        key: z.string().min(1).max(255).optional(),
        ...commandOrderShape,
        actor: actorSchema,
      })
      .refine((order) => commandMistake(order) === undefined, 'the fields do not go together'),
    answer: answering(placedCommand),
  },
  'cancel-command': {
    means: 'Take a command back that nobody was told of yet. One that has ended is left as it is.',
    request: z.object({
      runId: runIdSchema,
      commandId: commandIdSchema,
      reason: z.string().min(1).max(500),
      actor: actorSchema,
    }),
    answer: answering(placedCommand.omit({ repeated: true })),
  },
  retry: {
    means: 'Do the work of an ended run once more, as a new run of its session.',
    request: z.object({
      runId: runIdSchema,
      /** The new run; the same one for every repeat of the request. */
      newRunId: runIdSchema,
      conversation: conversationSchema.optional(),
      /** Instead of the prompt of the ended run. */
      prompt: promptSchema.optional(),
      actor: actorSchema,
    }),
    answer: answering(
      z.object({
        ...position,
        sessionId: sessionIdSchema,
        retryOf: runIdSchema,
        repeated: z.boolean(),
        state: z.enum(RUN_STATES),
      }),
    ),
  },
  unstick: {
    means: 'Say what a run waits for; with `fix`, do what is safe about it.',
    request: z.object({ runId: runIdSchema, fix: z.boolean(), actor: actorSchema }),
    answer: answering(unstuckSchema),
  },
} as const;
