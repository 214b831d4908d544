// Folds of run transitions and reports into what people read.
import { expect, test } from 'vitest';
import { foldActivity } from '#services/runs/activity.view.ts';
import { foldRun } from '#services/runs/run.view.ts';
import { foldSession } from '#services/sessions/session.view.ts';
import { activityViewSchema, runViewSchema } from '#streams/buckets.ts';
import type { Report } from '#streams/report-codec.ts';
import type { RunEvent } from '#streams/run.ts';
import { sessionViewSchema } from '#streams/session-view.ts';

const boundary = { tenant: 'local', project: 'main' };
const ULID = '01HF3Z0000000000000000000';
const sessionId = `ses_${ULID}S`;
const turnId = `trn_${ULID}T`;

const created = (runId: string, title: string | null, createdAt: number): RunEvent => ({
  type: 'fleetlog.run.created.v1',
  runId,
  sessionId,
  agent: 'builder-1',
  provider: 'exec',
  title,
  request: { prompt: 'x', turnTimeoutMs: 1000 },
  requestHash: 'a'.repeat(64),
  commandId: `cmd_${ULID}C`,
  replay: 'requeue',
  maxAttempts: 1,
  leaseMs: 2000,
  createdAt,
});
const runA = `run_${ULID}A`;
const runB = `run_${ULID}B`;
const lost: RunEvent = {
  type: 'fleetlog.run.lease-expired.v1',
  runId: runA,
  sessionId,
  fence: 1,
  runnerId: 'r1',
  next: 'failed',
  commandId: null,
  expiredAt: 30,
};
const claimed: RunEvent = {
  type: 'fleetlog.run.claimed.v1',
  runId: runA,
  sessionId,
  runnerId: 'r1',
  fence: 1,
  leaseMs: 2000,
  claimedAt: 20,
};

test('a run whose last lease was lost reads as failed, with the runner and the attempt in the message', () => {
  const events = [created(runA, 'Hello', 10), claimed, lost];
  let view: ReturnType<typeof foldRun>;
  for (const event of events) view = foldRun(view, { boundary, event });
  expect(runViewSchema.parse({ ...view, seq: 1 })).toMatchObject({
    state: 'failed',
    attempt: 1,
    endedAt: 30,
    updatedAt: 30,
    failure: { kind: 'runner-lost', message: 'the lease of runner r1 expired (attempt 1 of 1)' },
  });
});

test('a transition of a run whose creation is not known gives no summary', () => {
  expect(foldRun(undefined, { boundary, event: lost })).toBeUndefined();
});

test('WK-52 two runs of a session are both active, and the end of one leaves the other', () => {
  const steps: [number, RunEvent][] = [
    [10, created(runA, 'First', 10)],
    [12, created(runB, null, 12)],
    [20, claimed],
    [30, lost],
  ];
  let view: ReturnType<typeof foldSession>;
  for (const [occurredAt, event] of steps)
    view = foldSession(view, { boundary, seq: occurredAt, occurredAt, event });
  expect(sessionViewSchema.parse({ ...view, seq: 1 })).toMatchObject({
    activeRuns: [runB],
    runs: 2,
    lastRunId: runB,
    lastOutcome: 'failed',
    title: 'First',
    createdAt: 10,
    lastActivityAt: 30,
  });
});

const about = { runId: runA, sessionId, turnId };
const folded = (...reports: Report[]) => {
  let view: ReturnType<typeof foldActivity>;
  for (const [index, report] of reports.entries())
    view = foldActivity(view, {
      boundary,
      agent: 'builder-1',
      seq: index + 1,
      occurredAt: index + 100,
      report,
    });
  return view;
};

test('activity counts reports, tools and files and keeps the last words and the newest usage', () => {
  const view = folded(
    { name: 'text', data: { ...about, text: 'a'.repeat(600) + 'end' } },
    { name: 'tool-started', data: { ...about, callId: 'c', name: 'edit', input: null } },
    { name: 'file-changed', data: { ...about, path: 'a.txt', change: 'created' } },
    { name: 'usage', data: { ...about, usage: { inputTokens: 3 } } },
    { name: 'usage', data: { ...about, usage: { inputTokens: 9 } } },
    {
      name: 'report-refused',
      data: {
        runId: runA,
        reportId: 'x',
        reportType: 't',
        code: 'RUN_FENCED',
        reportFence: 1,
        currentFence: 2,
      },
    },
  );
  expect(activityViewSchema.parse({ ...view, seq: 6 })).toMatchObject({
    seq: 6,
    firstSeq: 1,
    lastSeq: 6,
    reports: 6,
    tools: 1,
    filesChanged: 1,
    refused: 1,
    usage: { inputTokens: 9 },
    lastReportAt: 105,
  });
  expect(view?.lastText).toHaveLength(500);
  expect(view?.lastText?.endsWith('end')).toBe(true);
});

test('what another agent reports about a run does not count', () => {
  const report: Report = { name: 'text', data: { ...about, text: 'mine' } };
  const forged: Report = { name: 'text', data: { ...about, text: 'forged' } };
  const view = folded(report);
  const placed = { boundary, agent: 'builder-2', seq: 9, occurredAt: 900, report: forged };
  expect(foldActivity(view, placed)).toEqual(view);
});

test('a gap in the reports of a runner is nobody’s activity', () => {
  const gap: Report = {
    name: 'gap',
    data: { firstSourceSeq: 1, lastSourceSeq: 2, dropped: 2, reason: 'full' },
  };
  expect(folded(gap)).toBeUndefined();
});
