// The HTTP API about the commands of a run, about doing it once more, and about what it waits for.
import { z } from 'zod';
import { shownCommandSchema } from '#streams/buckets.ts';
import { commandIdSchema, runIdSchema, sessionIdSchema } from '#streams/ids.ts';
import {
  commandMistake,
  commandOrderShape,
  promptSchema,
  unstuckSchema,
} from '#streams/run-command-requests.ts';
import { conversationSchema, RUN_STATES } from '#streams/run.ts';
import { COMMAND_STATES, commandTypeSchema } from '#streams/commands.ts';
import {
  boundaryShape,
  listLimit,
  linksAnswer,
  oneQuery,
  seqAnswer,
  seqQuery,
  type ApiTable,
} from './route.ts';

const links = linksAnswer('run', 'commands');
const placedCommand = z.object({
  runId: runIdSchema,
  seq: seqAnswer,
  commandId: commandIdSchema,
  commandSeq: z.int().positive(),
  type: commandTypeSchema,
  state: z.enum(COMMAND_STATES),
  runState: z.enum(RUN_STATES),
  links,
});
const reason = z.string().min(1).max(500);

export const COMMAND_API = {
  listCommands: {
    method: 'GET',
    path: '/api/v1/runs/:id/commands',
    means: 'What a run was told, by number; `after` is the number of the last one known.',
    query: z.strictObject({
      ...boundaryShape,
      after: seqQuery.default(0),
      limit: listLimit,
      afterSeq: seqQuery.optional(),
    }),
    status: 200,
    answer: z.object({
      runId: runIdSchema,
      seq: seqAnswer,
      turnCommandId: z.string(),
      commands: z.array(shownCommandSchema.meta({ id: 'Command' })),
      /** Give it back as `after`; null: these are all, for now. */
      next: z.int().positive().nullable(),
    }),
  },
  createCommand: {
    method: 'POST',
    path: '/api/v1/runs/:id/commands',
    means:
      'Tell a run something: `turn` (a further turn), `steer` (words to the running turn) or `interrupt` (end the running turn).',
    body: z.strictObject({ ...boundaryShape, ...commandOrderShape }).superRefine((order, check) => {
      const mistake = commandMistake(order);
      if (mistake !== undefined)
        check.addIssue({ code: 'custom', path: [mistake.path], message: mistake.message });
    }),
    status: 202,
    answer: placedCommand.extend({ repeated: z.boolean() }),
  },
  cancelCommand: {
    method: 'POST',
    path: '/api/v1/runs/:id/commands/:command/cancel',
    means: 'Take a command back that nobody was told of yet. One that has ended is left as it is.',
    body: z.strictObject({ ...boundaryShape, reason: reason.default('not needed any more') }),
    status: 202,
    answer: placedCommand,
  },
  interruptRun: {
    method: 'POST',
    path: '/api/v1/runs/:id/interrupt',
    means:
      'End the running turn. The run goes on with `text`, or with the next turn it was told; without either it ends as cancelled.',
    body: z.strictObject({ ...boundaryShape, reason: reason.optional(), text: promptSchema.optional() }),
    status: 202,
    answer: placedCommand.extend({ repeated: z.boolean() }),
  },
  retryRun: {
    method: 'POST',
    path: '/api/v1/runs/:id/retry',
    means: 'Do the work of an ended run once more, as a new run of its session.',
    body: z.strictObject({
      ...boundaryShape,
      /** `new`: the program begins another conversation. */
      conversation: conversationSchema.optional(),
      /** Instead of the prompt of the ended run. */
      prompt: promptSchema.optional(),
    }),
    status: 202,
    answer: z.object({
      runId: runIdSchema,
      seq: seqAnswer,
      sessionId: sessionIdSchema,
      retryOf: runIdSchema,
      repeated: z.boolean(),
      links: linksAnswer('self', 'events', 'stream', 'cancel', 'session'),
    }),
  },
  explainRun: {
    method: 'GET',
    path: '/api/v1/runs/:id/waiting',
    means: 'What a run waits for, in plain words.',
    query: oneQuery,
    status: 200,
    answer: unstuckSchema.meta({ id: 'Waiting' }),
  },
  unstickRun: {
    method: 'POST',
    path: '/api/v1/runs/:id/unstick',
    means: 'Do the safe thing about what a run waits for, and say what it was.',
    body: z.strictObject({ ...boundaryShape }),
    status: 202,
    answer: unstuckSchema,
  },
} as const satisfies ApiTable;
