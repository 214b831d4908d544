// What a runner reports of the commands of a run: that its program has been told, or why not. That a turn ends is told by its own reports.
import { z } from 'zod';
import { commandFailureSchema } from './commands.ts';
import { commandIdSchema, runIdSchema, sessionIdSchema, turnIdSchema } from './ids.ts';

const about = {
  runId: runIdSchema,
  sessionId: sessionIdSchema,
  turnId: turnIdSchema,
  commandId: commandIdSchema,
};
const epochMs = z.int().nonnegative();

const acknowledged = z.object({ ...about, acknowledgedAt: epochMs });
const finished = z.object({
  ...about,
  state: z.enum(['completed', 'failed']),
  code: commandFailureSchema.optional(),
  message: z.string().max(1000).optional(),
  finishedAt: epochMs,
});

/** Subject type token → event type and schema, as part of the reports. */
export const COMMAND_REPORTS = {
  'command-acknowledged': {
    type: 'fleetlog.command.acknowledged.v1',
    schema: acknowledged,
    means: 'The program of the turn has been given the words, or is being ended as asked.',
  },
  'command-finished': {
    type: 'fleetlog.command.finished.v1',
    schema: finished,
    means:
      'A command has come to its end before its turn did. Completed: the program has taken the words up; failed: `code` says why it has not.',
  },
} as const;
