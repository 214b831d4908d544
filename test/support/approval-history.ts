// Approvals of one run, for given–when–then: each builder gives the usual case and takes what differs.
import type { AskedCall, ApprovalMode } from '#streams/approvals.ts';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import { nextCommand, NOW, runId, sessionId, turnA } from './run-history.ts';

const ULID = '01HF3Z0000000000000000000';
export const approvalA = `apr_${ULID}A`;
export const approvalB = `apr_${ULID}B`;
export const DIGEST = 'd'.repeat(64);
/** How long a question waits here. */
export const WAIT_MS = 60_000;

type Changes = Partial<AskedCall> & { readonly fence?: number; readonly turnId?: string };

const callOf = (mode: ApprovalMode, { fence: _fence, turnId: _turn, ...changes }: Changes): AskedCall => ({
  approvalId: approvalA,
  callId: 'toolu_1',
  tool: 'Bash',
  input: { command: 'make release' },
  inputCutBytes: 0,
  digest: DIGEST,
  question: 'Allow Bash?',
  mode,
  expiresAt: NOW + WAIT_MS,
  ...changes,
});

export const ask = (mode: ApprovalMode, changes: Changes = {}): RunCommand => ({
  kind: 'ask-approval',
  agent: 'builder-1',
  fence: changes.fence ?? 1,
  turnId: changes.turnId ?? turnA,
  call: callOf(mode, changes),
  askedAt: NOW,
});
export const asked = (mode: ApprovalMode, changes: Changes = {}): RunEvent => ({
  type: 'fleetlog.run.approval-asked.v1',
  runId,
  sessionId,
  turnId: changes.turnId ?? turnA,
  fence: changes.fence ?? 1,
  ...callOf(mode, changes),
  askedAt: NOW,
});
export const answer = (
  changes: Partial<Extract<RunCommand, { kind: 'answer-approval' }>> = {},
): RunCommand => ({
  kind: 'answer-approval',
  approvalId: approvalA,
  decision: 'approve',
  by: 'user:anna',
  nextCommandId: nextCommand,
  ...changes,
});
type Answered = Extract<RunEvent, { type: 'fleetlog.run.approval-answered.v1' }>;
export const answered = (changes: Partial<Answered> = {}): RunEvent => ({
  type: 'fleetlog.run.approval-answered.v1',
  runId,
  sessionId,
  fence: 1,
  approvalId: approvalA,
  callId: 'toolu_1',
  tool: 'Bash',
  digest: DIGEST,
  decision: 'approve',
  by: 'user:anna',
  commandId: null,
  answeredAt: NOW,
  ...changes,
});
export const expireApproval: RunCommand = {
  kind: 'expire-approval',
  approvalId: approvalA,
  nextCommandId: nextCommand,
};
export const withdraw = (fence = 1): RunCommand => ({
  kind: 'withdraw-approval',
  agent: 'builder-1',
  fence,
  approvalId: approvalA,
  reason: 'the program stopped waiting',
});
