// One example of every request and bucket value, for the generated pages. Typed by the contract. Not used at run time.
import type { ActivityView, ApprovalsView, Lease, Presence, RunView } from './buckets.ts';
import { COMMAND_REQUEST_EXAMPLES } from './generate-command-requests.ts';
import { EXAMPLE, EXAMPLE_AT, EXAMPLE_CALL, EXAMPLE_REQUEST } from './generate-examples.ts';
import { HOST_VIEW_EXAMPLE } from './generate-host-examples.ts';
import type { HostView } from './host-views.ts';
import { MANAGED_AGENT_EXAMPLE, POLICY_VIEW_EXAMPLE } from './generate-policy-examples.ts';
import type { ManagedAgentView, PolicyView } from './policy-views.ts';
import type { SourceView } from './source-view.ts';
import { CURSOR_EXAMPLE, SESSION_VIEW_EXAMPLE } from './generate-session-examples.ts';
import type { ReadCursor, SessionView } from './session-view.ts';
import { TASK_VIEW_EXAMPLE } from './generate-task-examples.ts';
import type { TaskView } from './task-view.ts';
import { MAIL_BUCKET_EXAMPLES } from './generate-mail-examples.ts';
import type { MessageView, ObligationsView } from './mail-views.ts';
import type { RunOperation, RunRequestOf, RunResultOf } from './run-requests.ts';
import type { Receipt } from './receipts.ts';

const { boundary, agent, runnerId, runId, sessionId, turnId, commandId, approvalId } = EXAMPLE;
const EXAMPLE_BUFFER = '01KAJ5M7Y0B3D5F7H9K1M3P5R7';
const AT = EXAMPLE_AT;
const SECOND = 1000;
const about = { runId, sessionId };

/** Requests of the runs service and what they give. */
export const REQUEST_EXAMPLES: {
  readonly [Op in RunOperation]: { readonly request: RunRequestOf<Op>; readonly result: RunResultOf<Op> };
} = {
  create: {
    request: {
      ...about,
      agent,
      provider: 'exec',
      mayOpenSession: true,
      title: 'Cart rounding',
      request: EXAMPLE_REQUEST,
      replay: 'requeue',
      maxAttempts: 3,
      leaseMs: 30_000,
      actor: 'user:anna',
    },
    result: { runId, seq: 12, sessionId, repeated: false, state: 'queued', turnId: null },
  },
  cancel: {
    request: { runId, reason: 'wrong branch', actor: 'user:anna' },
    result: { runId, seq: 15, state: 'cancelling' },
  },
  ...COMMAND_REQUEST_EXAMPLES,
  'answer-approval': {
    request: {
      runId,
      approvalId,
      answerId: 'ans-1',
      decision: 'approve',
      digest: EXAMPLE_CALL.digest,
      message: 'go ahead',
      actor: 'user:anna',
    },
    result: { runId, approvalId, seq: 16, decision: 'approve', repeated: false, stillNeeded: 0 },
  },
  claim: {
    request: { runId, runnerId, claimId: 'clm-1', commandId },
    result: { runId, seq: 13, fence: 17, leaseMs: 30_000 },
  },
  renew: { request: { runId, runnerId, fence: 17 }, result: { leaseMs: 30_000, cancelRequested: false } },
  announce: {
    request: {
      runnerId,
      providers: ['exec'],
      version: '0.1.0',
      contract: 2,
      spawnId: 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J8',
      host: 'forge-7',
      active: 1,
      startedAt: AT - 60 * SECOND,
      buffered: 0,
      slots: 1,
      labels: ['gpu'],
      ttlMs: 15_000,
    },
    result: { ttlMs: 15_000 },
  },
};

/** A value of every bucket. */
export const BUCKET_EXAMPLES: {
  readonly runs: RunView;
  readonly sessions: SessionView;
  readonly cursors: ReadCursor;
  readonly activity: ActivityView;
  readonly approvals: ApprovalsView;
  readonly sources: SourceView;
  readonly tasks: TaskView;
  readonly messages: MessageView;
  readonly obligations: ObligationsView;
  readonly hosts: HostView;
  readonly policies: PolicyView;
  readonly agents: ManagedAgentView;
  readonly leases: Lease;
  readonly receipts: Receipt;
  readonly presence: Presence;
} = {
  runs: {
    seq: 14,
    ...boundary,
    ...about,
    agent,
    provider: 'exec',
    title: 'Cart rounding',
    state: 'running',
    attempt: 1,
    maxAttempts: 3,
    fence: 17,
    runnerId,
    leaseMs: 30_000,
    turnId,
    cancelReason: null,
    failure: null,
    result: null,
    openApprovals: [],
    parkings: 0,
    turnCommandId: commandId,
    commands: [
      {
        commandId,
        seq: 1,
        type: 'turn',
        state: 'acknowledged',
        text: null,
        code: null,
        createdAt: AT,
        acknowledgedAt: AT + SECOND,
        endedAt: null,
      },
    ],
    createdAt: AT,
    claimedAt: AT + SECOND,
    startedAt: AT + 2 * SECOND,
    endedAt: null,
    updatedAt: AT + 2 * SECOND,
  },
  sessions: SESSION_VIEW_EXAMPLE,
  cursors: CURSOR_EXAMPLE,
  activity: {
    seq: 52,
    ...boundary,
    ...about,
    agent,
    firstSeq: 44,
    lastSeq: 52,
    reports: 9,
    tools: 1,
    filesChanged: 1,
    refused: 0,
    lastText: 'The rounding happens per line; I move it to the total.',
    usage: { inputTokens: 1840, outputTokens: 212, costMicroUsd: 8700 },
    lastReportAt: AT + 16 * SECOND,
  },
  approvals: {
    seq: 15,
    ...boundary,
    ...about,
    approvals: [
      {
        ...EXAMPLE_CALL,
        fence: 17,
        turnId,
        state: 'open',
        by: null,
        message: null,
        askedAt: AT + 6 * SECOND,
        settledAt: null,
        needs: null,
        approvedBy: [],
        stillNeeded: 1,
      },
    ],
  },
  sources: {
    seq: 52,
    ...boundary,
    agent,
    reports: 38,
    lastReportAt: AT + 16 * SECOND,
    repeated: 0,
    unlisted: 0,
    numberings: [
      {
        buffer: EXAMPLE_BUFFER,
        buffers: [EXAMPLE_BUFFER],
        highSeq: 60,
        missing: [{ range: [41, 57], seenSeq: 46, seenAt: AT + 4 * SECOND, alarmSeq: 49, isHead: false }],
        named: [],
        unjudgedBelow: 0,
        repeated: null,
        cleared: [],
      },
    ],
    alarmSeq: 49,
    alarmAt: AT + 14 * SECOND,
    clearedSeq: 0,
  },
  tasks: TASK_VIEW_EXAMPLE,
  ...MAIL_BUCKET_EXAMPLES,
  hosts: HOST_VIEW_EXAMPLE,
  receipts: {
    requestHash: '1f3a'.repeat(16),
    request: 'POST /api/v1/runs',
    by: 'anna',
    receivedAt: AT,
    defaults: { agent, turnTimeoutMs: 1_800_000, leaseMs: 30_000, maxAttempts: 3 },
    answer: {
      status: 202,
      body: JSON.stringify({ runId, seq: 12, repeated: false }),
      location: `/api/v1/runs/${runId}`,
    },
  },
  policies: POLICY_VIEW_EXAMPLE,
  agents: MANAGED_AGENT_EXAMPLE,
  leases: { runId, runnerId, fence: 17, renewedAt: AT + 11 * SECOND },
  presence: {
    agent,
    runnerId,
    providers: ['exec'],
    version: '0.1.0',
    contract: 2,
    spawnId: 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J8',
    host: 'forge-7',
    active: 1,
    startedAt: AT - 60 * SECOND,
    seenAt: AT + 10 * SECOND,
    buffered: 0,
    slots: 1,
    labels: ['gpu'],
  },
};
