// Histories and commands of one run, for given–when–then: each builder gives the usual case and takes what differs.
import { runDecider } from '#services/runs/run.decider.ts';
import type { RunCommand, RunCreated, RunEvent } from '#streams/run.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import { given as givenHistory } from '#test/support/given.ts';

export const NOW = 1_700_000_000_000;
const ULID = '01HF3Z0000000000000000000';
export const runId = `run_${ULID}A`;
export const sessionId = `ses_${ULID}A`;
export const turnA = `trn_${ULID}A`;
export const turnB = `trn_${ULID}B`;
export const nextCommand = `cmd_${ULID}2`;

export const createData = (changes: Partial<RunCreated> = {}): Omit<RunCreated, 'type' | 'createdAt'> => ({
  runId,
  sessionId,
  agent: 'builder-1',
  provider: 'exec',
  title: null,
  request: { prompt: 'say hello', turnTimeoutMs: 60_000 },
  requestHash: 'a'.repeat(64),
  commandId: `cmd_${ULID}1`,
  replay: 'requeue',
  maxAttempts: 2,
  leaseMs: 10_000,
  ...changes,
});
export const result = (changes: Partial<TurnResult> = {}): TurnResult => ({
  outcome: 'done',
  exitCode: 0,
  signal: null,
  summary: 'hello',
  failure: null,
  durationMs: 5,
  events: 1,
  ...changes,
});

export const created = (changes: Partial<RunCreated> = {}): RunEvent => ({
  type: 'fleetlog.run.created.v1',
  ...createData(changes),
  createdAt: NOW,
});
export const claimed = (fence = 1, runnerId = 'runner-1'): RunEvent => ({
  type: 'fleetlog.run.claimed.v1',
  runId,
  sessionId,
  runnerId,
  fence,
  leaseMs: 10_000,
  claimedAt: NOW,
});
export const started = (fence = 1, turnId = turnA): RunEvent => ({
  type: 'fleetlog.run.turn-started.v1',
  runId,
  sessionId,
  turnId,
  fence,
  startedAt: NOW,
});
export const expired = (fence: number, next: 'queued' | 'failed' | 'cancelled'): RunEvent => ({
  type: 'fleetlog.run.lease-expired.v1',
  runId,
  sessionId,
  fence,
  runnerId: 'runner-1',
  next,
  commandId: next === 'queued' ? nextCommand : null,
  expiredAt: NOW,
});
export const cancelRequested: RunEvent = {
  type: 'fleetlog.run.cancel-requested.v1',
  runId,
  sessionId,
  reason: 'not needed',
  fence: 1,
  requestedAt: NOW,
};
export const completed: RunEvent = {
  type: 'fleetlog.run.completed.v1',
  runId,
  sessionId,
  fence: 1,
  turnId: turnA,
  endedAt: NOW,
  result: result(),
};
export const cancelledQueued: RunEvent = {
  type: 'fleetlog.run.cancelled.v1',
  runId,
  sessionId,
  fence: null,
  turnId: null,
  endedAt: NOW,
  reason: 'not needed',
  result: null,
};

export const claim: RunCommand = { kind: 'claim', agent: 'builder-1', runnerId: 'runner-1' };
export const cancel: RunCommand = { kind: 'cancel', reason: 'not needed' };
export const start = (fence = 1, turnId = turnA): RunCommand => ({
  kind: 'start-turn',
  agent: 'builder-1',
  fence,
  turnId,
  startedAt: NOW,
});
export const finish = (fence = 1, changes: Partial<TurnResult> = {}, turnId = turnA): RunCommand => ({
  kind: 'finish-turn',
  agent: 'builder-1',
  fence,
  turnId,
  result: result(changes),
  endedAt: NOW,
  nextCommandId: nextCommand,
});
export const expire = (fence = 1): RunCommand => ({ kind: 'expire-lease', fence, commandId: nextCommand });

export const given = (...history: RunEvent[]) => {
  const of = givenHistory(runDecider, ...history);
  return { when: (command: RunCommand) => of.when(command, { now: NOW }) };
};
