// Histories and commands of one task, for given–when–then: each builder gives the usual case and takes what differs.
import { taskDecider } from '#services/tasks/task.decider.ts';
import type { AttemptEnd, TaskCommand, TaskCreated, TaskEvent } from '#streams/task.ts';
import { given as givenHistory } from '#test/support/given.ts';

export const NOW = 1_700_000_000_000;
const ULID = '01HF3Z0000000000000000000';
const taskId = `tsk_${ULID}A`;
const runA = `run_${ULID}A`;
const runB = `run_${ULID}B`;
export const newSession = `ses_${ULID}A`;
export const agent = 'builder-1';

export const createData = (changes: Partial<TaskCreated> = {}): Omit<TaskCreated, 'type' | 'createdAt'> => ({
  taskId,
  queue: 'fix',
  lane: 'main',
  priority: 0,
  title: null,
  provider: 'exec',
  agent: null,
  labels: [],
  sessionId: null,
  request: { prompt: 'say hello', turnTimeoutMs: 60_000 },
  replay: 'requeue',
  maxAttempts: 2,
  leaseMs: 10_000,
  references: [],
  metadata: {},
  requestHash: 'a'.repeat(64),
  ...changes,
});

const about = { taskId, queue: 'fix' };
const attemptOf = (attempt: number) => ({ ...about, attempt, runId: attempt === 1 ? runA : runB });

export const created = (changes: Partial<TaskCreated> = {}): TaskEvent => ({
  type: 'fleetlog.task.created.v1',
  ...createData(changes),
  createdAt: NOW,
});
export const assigned = (attempt = 1): TaskEvent => ({
  type: 'fleetlog.task.assigned.v1',
  ...attemptOf(attempt),
  sessionId: newSession,
  agent,
  assignedAt: NOW,
});
export const started = (attempt = 1): TaskEvent => ({
  type: 'fleetlog.task.started.v1',
  ...attemptOf(attempt),
  startedAt: NOW,
});
export const recalled = (attempt = 1): TaskEvent => ({
  type: 'fleetlog.task.recalled.v1',
  ...attemptOf(attempt),
  reason: 'gone',
  recalledAt: NOW,
});
export const lost = { kind: 'runner-lost', message: 'not heard of' } as const;
export const broke = { kind: 'provider-failed', message: 'exit code 2' } as const;
export const requeued = (attempt = 1, outcome: 'failed' | 'cancelled' = 'failed'): TaskEvent => ({
  type: 'fleetlog.task.requeued.v1',
  ...attemptOf(attempt),
  outcome,
  failure: outcome === 'failed' ? lost : null,
  endedAt: NOW,
});
export const cancelRequested = (attempt = 1): TaskEvent => ({
  type: 'fleetlog.task.cancel-requested.v1',
  ...attemptOf(attempt),
  reason: 'not needed',
  requestedAt: NOW,
});
export const completed = (attempt = 1): TaskEvent => ({
  type: 'fleetlog.task.completed.v1',
  ...attemptOf(attempt),
  summary: 'done',
  endedAt: NOW,
});
export const failed = (attempt = 1): TaskEvent => ({
  type: 'fleetlog.task.failed.v1',
  ...attemptOf(attempt),
  summary: '',
  failure: broke,
  endedAt: NOW,
});
export const blocked = (attempt = 1): TaskEvent => ({
  type: 'fleetlog.task.blocked.v1',
  ...attemptOf(attempt),
  summary: 'needs a key',
  reason: 'needs a key',
  endedAt: NOW,
});
export const cancelled = (
  outcome: AttemptEnd['outcome'] | null = null,
  { attempt = 1, reason = 'not needed' } = {},
): TaskEvent => ({
  type: 'fleetlog.task.cancelled.v1',
  ...about,
  last: outcome === null ? null : { attempt, runId: attemptOf(attempt).runId, outcome },
  reason,
  endedAt: NOW,
});
export const retried = (attempts = 1): TaskEvent => ({
  type: 'fleetlog.task.retried.v1',
  ...about,
  attempts,
  retriedAt: NOW,
});

export const create: TaskCommand = { kind: 'create', data: createData() };
export const assign = (attempt = 1, by = agent): TaskCommand => ({
  kind: 'assign',
  attempt,
  runId: attemptOf(attempt).runId,
  newSessionId: newSession,
  agent: by,
});
export const start = (attempt = 1): TaskCommand => ({
  kind: 'start',
  attempt,
  runId: attemptOf(attempt).runId,
  startedAt: NOW,
});
export const end = (changes: Partial<AttemptEnd> = {}, attempt = 1): TaskCommand => ({
  kind: 'end',
  attempt,
  runId: attemptOf(attempt).runId,
  end: { outcome: 'completed', failure: null, summary: 'done', endedAt: NOW, ...changes },
});
export const endFailed = (failure: AttemptEnd['failure'] = broke, attempt = 1): TaskCommand =>
  end({ outcome: 'failed', failure, summary: '' }, attempt);
export const recall = (attempt = 1): TaskCommand => ({ kind: 'recall', attempt, reason: 'gone' });
export const cancel: TaskCommand = { kind: 'cancel', reason: 'not needed' };
export const retry: TaskCommand = { kind: 'retry' };

export const given = (...history: TaskEvent[]) => {
  const of = givenHistory(taskDecider, ...history);
  return { state: of.state, when: (command: TaskCommand) => of.when(command, { now: NOW }) };
};
