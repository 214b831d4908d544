// One example of every event and instruction, for the generated pages and for the recorder of golden entries. Typed by the contract,
// so that a changed schema breaks here first. Not used at run time.
import type { AskedCall, SettledApproval } from './approvals.ts';
import type { InstructionData } from './instruction-codec.ts';
import type { InstructionName } from './instructions.ts';
import type { HOST_INSTRUCTIONS } from './host-instructions.ts';
import type { HOST_REPORTS } from './host-reports.ts';
import {
  commandEventExamples,
  commandInstructionExamples,
  commandReportExamples,
} from './generate-command-examples.ts';
import type { MAIL_REPORTS } from './mail-reports.ts';
import { REPORTS, type ReportData, type ReportName } from './reports.ts';
import type { RunEventType } from './run-codec.ts';
import type { RunEvent, RunRequest } from './run.ts';
import type { TurnResult } from './turn-result.ts';

/** When the examples begin, epoch ms. */
export const EXAMPLE_AT = 1_763_712_000_000;

/** What the examples are about. */
export const EXAMPLE = {
  boundary: { tenant: 'acme', project: 'web' },
  agent: 'builder-1',
  runnerId: 'builder-1@forge-7',
  runId: 'run_01KAJ5M8E0R3YV1D6C2T9ZQ4XB',
  sessionId: 'ses_01KAJ5M8E0H7N2WQ5F8P1KDT6S',
  commandId: 'cmd_01KAJ5M8E1B9G4X2Z7M5JQW3TC',
  turnId: 'trn_01KAJ5M8ZG4C6E8G0J2M4P6R8T',
  eventId: 'evt_01KAJ5M900A1B2C3D4E5F6G7H8',
  approvalId: 'apr_01KAJ5MCY02B4D6F8H0K2M4P6R',
} as const;

const { agent, runnerId, runId, sessionId, commandId, turnId, eventId, approvalId } = EXAMPLE;
const AT = EXAMPLE_AT;
const SECOND = 1000;
const nextCommandId = 'cmd_01KAJ5NVN0P6Q8R1S3T5V7W9YZ';

/** The work of the examples. */
export const EXAMPLE_REQUEST: RunRequest = {
  prompt: 'Make the failing test in cart.test.ts pass.',
  program: ['node', 'fix.mjs'],
  workspace: 'cart',
  turnTimeoutMs: 600_000,
};

const result: TurnResult = {
  outcome: 'done',
  exitCode: 0,
  signal: null,
  summary: 'The total is rounded once, at the end; the test passes.',
  failure: null,
  usage: { inputTokens: 1840, outputTokens: 212, costMicroUsd: 8700 },
  durationMs: 14_200,
  events: 9,
};

const failure = { kind: 'provider-failed', message: 'the program ended with exit code 2' } as const;
const about = { runId, sessionId };

/** The call of the examples that a person is asked about. */
export const EXAMPLE_CALL: AskedCall = {
  approvalId,
  callId: 'toolu_01A2b3C4',
  tool: 'Bash',
  input: { command: 'npm publish' },
  inputCutBytes: 0,
  digest: 'c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2',
  question: 'Allow Bash?',
  mode: 'parked',
  expiresAt: AT + 24 * 3600 * SECOND,
};
const settled: SettledApproval = {
  approvalId,
  callId: EXAMPLE_CALL.callId,
  tool: EXAMPLE_CALL.tool,
  digest: EXAMPLE_CALL.digest,
  decision: 'edit',
  input: { command: 'npm publish --dry-run' },
  message: 'dry run first',
};
const ended = { ...about, fence: 17, turnId, endedAt: AT + 16 * SECOND };

/** Every event of a run. */
export const RUN_EXAMPLES: { readonly [Type in RunEventType]: Extract<RunEvent, { type: Type }> } = {
  'fleetlog.run.created.v1': {
    type: 'fleetlog.run.created.v1',
    ...about,
    agent,
    provider: 'exec',
    title: 'Cart rounding',
    request: EXAMPLE_REQUEST,
    requestHash: '9f2c1a6de0b54d7783a5c0f1e6b7d8927c4e5f60718293a4b5c6d7e8f9012345',
    commandId,
    replay: 'requeue',
    maxAttempts: 3,
    leaseMs: 30_000,
    createdAt: AT,
  },
  'fleetlog.run.claimed.v1': {
    type: 'fleetlog.run.claimed.v1',
    ...about,
    runnerId,
    fence: 17,
    leaseMs: 30_000,
    claimedAt: AT + SECOND,
  },
  'fleetlog.run.turn-started.v1': {
    type: 'fleetlog.run.turn-started.v1',
    ...about,
    turnId,
    fence: 17,
    startedAt: AT + 2 * SECOND,
  },
  'fleetlog.run.lease-expired.v1': {
    type: 'fleetlog.run.lease-expired.v1',
    ...about,
    fence: 17,
    runnerId,
    next: 'queued',
    commandId: nextCommandId,
    expiredAt: AT + 31 * SECOND,
  },
  'fleetlog.run.cancel-requested.v1': {
    type: 'fleetlog.run.cancel-requested.v1',
    ...about,
    reason: 'wrong branch',
    fence: 17,
    requestedAt: AT + 5 * SECOND,
  },
  'fleetlog.run.completed.v1': { type: 'fleetlog.run.completed.v1', ...ended, result },
  'fleetlog.run.blocked.v1': {
    type: 'fleetlog.run.blocked.v1',
    ...ended,
    reason: 'The registry refuses the token; somebody has to renew it.',
    result: {
      ...result,
      outcome: 'blocked',
      summary: 'The registry refuses the token; somebody has to renew it.',
    },
  },
  'fleetlog.run.failed.v1': {
    type: 'fleetlog.run.failed.v1',
    ...ended,
    failure,
    result: { ...result, outcome: 'failed', exitCode: 2, failure },
  },
  'fleetlog.run.cancelled.v1': {
    type: 'fleetlog.run.cancelled.v1',
    ...ended,
    reason: 'wrong branch',
    result: { ...result, outcome: 'cancelled', exitCode: null, signal: 'SIGTERM' },
  },
  'fleetlog.run.approval-asked.v1': {
    type: 'fleetlog.run.approval-asked.v1',
    ...about,
    turnId,
    fence: 17,
    ...EXAMPLE_CALL,
    askedAt: AT + 6 * SECOND,
  },
  'fleetlog.run.approval-counted.v1': {
    type: 'fleetlog.run.approval-counted.v1',
    ...about,
    fence: 17,
    approvalId,
    callId: EXAMPLE_CALL.callId,
    digest: EXAMPLE_CALL.digest,
    by: 'user:ben',
    stillNeeded: 1,
    countedAt: AT + 30 * SECOND,
  },
  'fleetlog.run.approval-answered.v1': {
    type: 'fleetlog.run.approval-answered.v1',
    ...about,
    fence: 17,
    ...settled,
    by: 'user:anna',
    commandId: nextCommandId,
    answeredAt: AT + 60 * SECOND,
  },
  ...commandEventExamples({ ...ended, nextCommandId, result }),
};

const turn = { ...about, turnId };

/** Every report of a runner but those about mail; none of hosts. */
export const REPORT_EXAMPLES: {
  readonly [
    Name in Exclude<ReportName, keyof typeof MAIL_REPORTS | keyof typeof HOST_REPORTS>
  ]: ReportData<Name>;
} = {
  'turn-started': {
    ...turn,
    commandId,
    runnerId,
    provider: 'exec',
    program: ['node', 'fix.mjs'],
    workspace: 'cart',
    pid: 4711,
    startedAt: AT + 2 * SECOND,
  },
  'turn-finished': { ...turn, commandId, result, endedAt: AT + 16 * SECOND },
  text: { ...turn, text: 'The rounding happens per line; I move it to the total.' },
  reasoning: { ...turn, text: 'Summing rounded lines differs from rounding the sum.' },
  'tool-started': { ...turn, callId: 'call-1', name: 'edit', input: { path: 'src/cart.ts' } },
  'tool-finished': { ...turn, callId: 'call-1', output: '1 file changed', isError: false, durationMs: 35 },
  'file-changed': { ...turn, path: 'src/cart.ts', change: 'changed' },
  usage: { ...turn, usage: { inputTokens: 1840, outputTokens: 212, costMicroUsd: 8700 } },
  'session-bound': { ...turn, providerSessionId: '3dd1e431-7e21-4751-96bb-0819b8495a68', requested: null },
  'session-forked': {
    ...turn,
    providerSessionId: '3dd1e431-7e21-4751-96bb-0819b8495a68',
    requested: '99dbe0f4-7fcd-462c-9367-2668d75b8a73',
  },
  'session-mode': { ...turn, mode: 'plan' },
  plan: {
    ...turn,
    entries: [
      { content: 'Find where the rounding happens', status: 'completed', priority: 'high' },
      { content: 'Round the total once', status: 'in-progress' },
    ],
  },
  'session-primed': {
    ...turn,
    requested: '99dbe0f4-7fcd-462c-9367-2668d75b8a73',
    observed: null,
    turns: 3,
    characters: 1480,
  },
  'turn-signalled': {
    ...turn,
    outcome: 'done',
    summary: 'The total is rounded once, at the end; the test passes.',
    signalledAt: AT + 15 * SECOND,
  },
  output: { ...turn, stream: 'stderr', text: 'warning: no lock file' },
  'unknown-line': { ...turn, line: '{"type":"telemetry"}', reason: 'unknown type telemetry', cutBytes: 0 },
  'prompt-echoed': { ...turn, text: EXAMPLE_REQUEST.prompt, origin: 'run' },
  'hook-failed': { ...turn, hook: 'stop', error: 'the body is not JSON' },
  'session-ended': {
    ...turn,
    reason: 'other',
    providerSessionId: '3dd1e431-7e21-4751-96bb-0819b8495a68',
  },
  'stop-gate': {
    ...turn,
    decision: 'blocked',
    blocks: 1,
    owed: [{ messageId: 'msg_01JZ8Q4V6N3M7R5T9W2X4Y6Z8B', from: 'user', subject: 'Which cart?' }],
  },
  insight: {
    ...turn,
    signal: 'context-ratio',
    value: { ratio: 0.667, gatheringCalls: 4, totalToolCalls: 6 },
    endReason: 'done',
    workspace: '/work/ses_01KAJ5M8E0H7N2WQ5F8P1KDT6S',
  },
  'report-refused': {
    runId,
    reportId: eventId,
    reportType: REPORTS['turn-finished'].type,
    code: 'RUN_FENCED',
    reportFence: 12,
    currentFence: 17,
  },
  'approval-wanted': { ...turn, commandId, ...EXAMPLE_CALL, askedAt: AT + 6 * SECOND },
  'approval-withdrawn': {
    ...turn,
    approvalId,
    reason: 'the program stopped waiting',
    withdrawnAt: AT + 9 * SECOND,
  },
  'answer-refused': {
    ...about,
    approvalId,
    decision: 'approve',
    by: 'user:ben',
    code: 'APPROVAL_ANSWERED',
    reason: 'user:anna answered before (edit)',
  },
  ...commandReportExamples({ ...ended, nextCommandId, result }),
  gap: { firstSourceSeq: 41, lastSourceSeq: 57, dropped: 17, reason: 'the buffer was full' },
  'source-alarm': {
    problem: 'missing',
    buffer: '01KAJ5M7Y0B3D5F7H9K1M3P5R7',
    ranges: [[41, 57]],
    reports: 17,
    noticedSeq: 46,
    noticedAt: 1_763_712_004_000,
  },
  'source-cleared': { buffer: '01KAJ5M7Y0B3D5F7H9K1M3P5R7', ranges: [[41, 57]], reports: 17 },
};

/** Every instruction to a runner. */
export const INSTRUCTION_EXAMPLES: {
  readonly [Name in Exclude<InstructionName, keyof typeof HOST_INSTRUCTIONS>]: InstructionData<Name>;
} = {
  turn: { commandId, ...about, agent, provider: 'exec', request: EXAMPLE_REQUEST, leaseMs: 30_000 },
  cancel: { runId, reason: 'wrong branch' },
  'answer-approval': { runId, fence: 17, approval: settled },
  ...commandInstructionExamples(runId),
};
