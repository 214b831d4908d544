// What runners report about their work (stream EVENTS): facts, each under the fence of its claim. The control plane turns
// `turn-started` and `turn-finished` into transitions of the run; the rest is what people and tools watch.
import { z } from 'zod';
import { answerSchema, askedCallSchema } from './approvals.ts';
import { COMMAND_REPORTS } from './command-reports.ts';
import { approvalIdSchema, commandIdSchema, runIdSchema, sessionIdSchema, turnIdSchema } from './ids.ts';
import { HOST_REPORTS, type HostReportName } from './host-reports.ts';
import { MAIL_REPORTS } from './mail-reports.ts';
import { providerSchema } from './run.ts';
import { turnResultSchema, usageSchema } from './turn-result.ts';
import { TURN_SIDE_REPORTS } from './turn-side-reports.ts';

const epochMs = z.int().nonnegative();

/** Every report names its run, session and turn, so that it can be read alone. */
const about = { runId: runIdSchema, sessionId: sessionIdSchema, turnId: turnIdSchema };

const turnStarted = z.object({
  ...about,
  commandId: commandIdSchema,
  runnerId: z.string(),
  provider: providerSchema,
  /** Program and arguments as started, redacted. */
  program: z.array(z.string()),
  workspace: z.string(),
  pid: z.int().nullable(),
  /** What the program says its version is; absent: it was not asked, or did not say. */
  programVersion: z.string().max(100).optional(),
  startedAt: epochMs,
});
const turnFinished = z.object({
  ...about,
  commandId: commandIdSchema,
  result: turnResultSchema,
  endedAt: epochMs,
});
const text = z.object({ ...about, text: z.string() });
const toolStarted = z.object({ ...about, callId: z.string(), name: z.string(), input: z.unknown() });
const toolFinished = z.object({
  ...about,
  callId: z.string(),
  output: z.string(),
  isError: z.boolean(),
  durationMs: z.number().nonnegative().optional(),
});
const fileChanged = z.object({
  ...about,
  path: z.string(),
  change: z.enum(['created', 'changed', 'deleted']),
});
const usage = z.object({ ...about, usage: usageSchema });
const sessionBound = z.object({
  ...about,
  /** The program's own name for the conversation. */
  providerSessionId: z.string(),
  /** The conversation it was asked to go on with; null: a new one. */
  requested: z.string().nullable(),
});
const plan = z.object({
  ...about,
  /** The whole plan as it stands; a later report replaces it. */
  entries: z.array(
    z.object({
      content: z.string(),
      status: z.enum(['pending', 'in-progress', 'completed']),
      priority: z.enum(['high', 'medium', 'low']).optional(),
    }),
  ),
});
const sessionMode = z.object({
  ...about,
  /** The program's own name for the mode. */
  mode: z.string(),
});
const turnSignalled = z.object({
  ...about,
  outcome: z.enum(['done', 'blocked']),
  summary: z.string().max(2000),
  signalledAt: epochMs,
});
const sessionPrimed = z.object({
  ...about,
  /** The conversation that was asked for and is not there. */
  requested: z.string(),
  /** Where the program was instead; null: it did not know the conversation. */
  observed: z.string().nullable(),
  /** Turns that the summary tells of, and its length. */
  turns: z.int().nonnegative(),
  characters: z.int().nonnegative(),
});
const output = z.object({ ...about, stream: z.enum(['stdout', 'stderr']), text: z.string() });
const unknownLine = z.object({
  ...about,
  /** The line as it came (redacted; cut at the stated limit). */
  line: z.string(),
  reason: z.string(),
  cutBytes: z.int().nonnegative(),
});
const approvalWanted = z.object({
  ...about,
  commandId: commandIdSchema,
  ...askedCallSchema.shape,
  askedAt: epochMs,
});
const approvalWithdrawn = z.object({
  ...about,
  approvalId: approvalIdSchema,
  reason: z.string().max(500),
  withdrawnAt: epochMs,
});
/** An answer that came to nothing: whose, and why. Written by the runs service. */
const answerRefused = z.object({
  runId: runIdSchema,
  sessionId: sessionIdSchema,
  approvalId: approvalIdSchema,
  decision: answerSchema,
  by: z.string(),
  code: z.string(),
  reason: z.string(),
});
/** A report that the owner of the run refused: which one and why. Written by the runs service, not by a runner. */
const reportRefused = z.object({
  runId: runIdSchema,
  reportId: z.string(),
  reportType: z.string(),
  code: z.string(),
  reportFence: z.int().nullable(),
  currentFence: z.int().nullable(),
});
/** Reports that the runner had to drop from its full buffer: what is missing, so that a replay shows the hole. */
const gap = z.object({
  firstSourceSeq: z.int(),
  lastSourceSeq: z.int(),
  dropped: z.int(),
  reason: z.string(),
  /** The missing numbers as inclusive ranges. */
  ranges: z.array(z.tuple([z.int(), z.int()])).optional(),
  /** The session whose reports are missing, where it is one. */
  sessionId: z.string().optional(),
});

/** Numbers of reports, as inclusive ranges. */
const ranges = z.array(z.tuple([z.int().positive(), z.int().positive()])).min(1);
/** What the numbers of a runner's reports show to be wrong. Written by the audit service, not by a runner. */
const sourceAlarm = z.object({
  /** `missing`: numbers that never came and that no gap report names; `repeated`: numbers that came more than once. */
  problem: z.enum(['missing', 'repeated']),
  /** The buffer that the numbering began with; empty: reports that name none. */
  buffer: z.string(),
  /** The numbers; of repeated ones the span in which they lie. */
  ranges,
  /** How many reports. */
  reports: z.int().positive(),
  /** The entry of EVENTS that showed it, and when it was stored. */
  noticedSeq: z.int().positive(),
  noticedAt: epochMs,
});
/** Missing reports of an alarm that came after all, or that a gap report named. */
const sourceCleared = z.object({ buffer: z.string(), ranges, reports: z.int().positive() });

/** Subject type token → event type and schema. Additive; a breaking change is a new version beside the old one. */
export const REPORTS = {
  'turn-started': {
    type: 'fleetlog.turn.started.v1',
    schema: turnStarted,
    means: 'A provider process was started for a turn.',
  },
  'turn-finished': {
    type: 'fleetlog.turn.finished.v1',
    schema: turnFinished,
    means: 'The turn is over; the result is complete.',
  },
  text: { type: 'fleetlog.turn.text.v1', schema: text, means: 'Text the agent said.' },
  reasoning: { type: 'fleetlog.turn.reasoning.v1', schema: text, means: 'Reasoning the agent showed.' },
  'tool-started': {
    type: 'fleetlog.tool.started.v1',
    schema: toolStarted,
    means: 'The agent called a tool.',
  },
  'tool-finished': {
    type: 'fleetlog.tool.finished.v1',
    schema: toolFinished,
    means: 'A tool call came back.',
  },
  'file-changed': {
    type: 'fleetlog.file.changed.v1',
    schema: fileChanged,
    means: 'A file of the workspace changed.',
  },
  usage: {
    type: 'fleetlog.turn.usage.v1',
    schema: usage,
    means: 'Tokens and cost so far, as the provider says.',
  },
  'session-bound': {
    type: 'fleetlog.session.bound.v1',
    schema: sessionBound,
    means: 'The program said which conversation of its own this is: a new one, or the one it was asked for.',
  },
  'session-forked': {
    type: 'fleetlog.session.forked.v1',
    schema: sessionBound,
    means:
      'The program went on in another conversation than the one it was asked for; the next turn goes on there.',
  },
  'session-mode': {
    type: 'fleetlog.session.mode.v1',
    schema: sessionMode,
    means: 'The conversation is in this mode of the program from now on, such as one in which it only plans.',
  },
  plan: {
    type: 'fleetlog.turn.plan.v1',
    schema: plan,
    means: 'The plan of the agent as it stands.',
  },
  'session-primed': {
    type: 'fleetlog.session.primed.v1',
    schema: sessionPrimed,
    means:
      'The conversation was not there, so the program was started anew with a summary of it before the prompt.',
  },
  'turn-signalled': {
    type: 'fleetlog.turn.signalled.v1',
    schema: turnSignalled,
    means: 'The agent said itself how its work stands; the last word of a turn counts.',
  },
  output: {
    type: 'fleetlog.turn.output.v1',
    schema: output,
    means: 'Raw output of the program that is not an event.',
  },
  'unknown-line': {
    type: 'fleetlog.turn.unknown-line.v1',
    schema: unknownLine,
    means: 'A line of the program that could not be read as an event; kept, never fatal.',
  },
  ...TURN_SIDE_REPORTS,
  ...COMMAND_REPORTS,
  ...MAIL_REPORTS,
  ...HOST_REPORTS,
  'report-refused': {
    type: 'fleetlog.report.refused.v1',
    schema: reportRefused,
    means: 'The owner of the run refused a report (old fence, ended run).',
  },
  'approval-wanted': {
    type: 'fleetlog.approval.wanted.v1',
    schema: approvalWanted,
    means:
      'The agent may not do this call unless a person allows it. Parked: the program has ended, and with this report the claim.',
  },
  'approval-withdrawn': {
    type: 'fleetlog.approval.withdrawn.v1',
    schema: approvalWithdrawn,
    means: 'The program no longer asks.',
  },
  'answer-refused': {
    type: 'fleetlog.approval.answer-refused.v1',
    schema: answerRefused,
    means: 'An answer to an approval was refused (late, to another call, after its time).',
  },
  gap: {
    type: 'fleetlog.report.gap.v1',
    schema: gap,
    means: 'The runner dropped reports from its full buffer.',
  },
  'source-alarm': {
    type: 'fleetlog.source.alarm.v1',
    schema: sourceAlarm,
    means: 'Reports of a runner are missing and no gap report names them, or came more than once.',
  },
  'source-cleared': {
    type: 'fleetlog.source.cleared.v1',
    schema: sourceCleared,
    means: 'Missing reports of an alarm came after all, or were named by a gap report.',
  },
} as const;

export type ReportName = keyof typeof REPORTS;
/** Reports about a runner as a whole, and those of hosts: they belong to no run. */
export type RunlessReportName =
  | 'gap'
  | 'source-alarm'
  | 'source-cleared'
  | 'mail-delivered'
  | 'mail-expired'
  | 'mail-posted'
  | HostReportName;
export type ReportData<Name extends ReportName> = z.infer<(typeof REPORTS)[Name]['schema']>;
