// What a runner reports of a turn besides what its program prints: what it was asked, and what its hooks and its stop gate did.
import { z } from 'zod';
import { runIdSchema, sessionIdSchema, turnIdSchema } from './ids.ts';

const about = { runId: runIdSchema, sessionId: sessionIdSchema, turnId: turnIdSchema };

const promptEchoed = z.object({
  ...about,
  text: z.string(),
  /** `run`: what the run asked for; `program`: something else that the program was told during the turn. */
  origin: z.enum(['run', 'program']),
});

const hookFailed = z.object({
  ...about,
  /** The hook's name, such as `stop`. */
  hook: z.string().max(100),
  error: z.string().max(4000),
});

const sessionEnded = z.object({
  ...about,
  reason: z.string().max(200),
  /** The program's own name for the conversation; null: it did not say. */
  providerSessionId: z.string().nullable(),
});

const stopGate = z.object({
  ...about,
  /** `blocked`: the agent was sent on to reply; `let-go`: the turn ended, and this was still owed. */
  decision: z.enum(['blocked', 'let-go']),
  /** How often the agent has been sent on in this turn, this time included. */
  blocks: z.int().nonnegative(),
  /** The replies that are owed, oldest first; 50 at most. */
  owed: z
    .array(z.object({ messageId: z.string(), from: z.string(), subject: z.string().nullable() }))
    .max(50),
});

const insight = z.object({
  ...about,
  /** What was found: `context-ratio` is the share of tool calls that only gathered context. Later versions know more. */
  signal: z.string().min(1).max(64),
  /** The figures of the signal; of `context-ratio`: `ratio` (0 to 1), `gatheringCalls`, `totalToolCalls`. */
  value: z.record(z.string().max(64), z.number()),
  /** How the turn ended: its outcome, or the kind of its failure. */
  endReason: z.string().max(64),
  /** Where the agent worked. */
  workspace: z.string(),
});

/** Subject type token → event type and schema, as part of the reports. */
export const TURN_SIDE_REPORTS = {
  'prompt-echoed': {
    type: 'fleetlog.turn.prompt-echoed.v1',
    schema: promptEchoed,
    means: 'What the program was told to do in the turn.',
  },
  'hook-failed': {
    type: 'fleetlog.hook.failed.v1',
    schema: hookFailed,
    means: 'A hook of the program could not do its work; the program went on without it.',
  },
  'session-ended': {
    type: 'fleetlog.session.ended.v1',
    schema: sessionEnded,
    means: 'The program closed its conversation; the next turn of the session can go on with it.',
  },
  'stop-gate': {
    type: 'fleetlog.stop-gate.decided.v1',
    schema: stopGate,
    means: 'The agent wanted to end its turn while it owed replies: it was sent on, or let go.',
  },
  insight: {
    type: 'fleetlog.turn.insight.v1',
    schema: insight,
    means: 'A figure about the way the agent worked in a turn; told at its end, before the result.',
  },
} as const;
