// Folds of run transitions and reports into what people read.
import { expect, test } from 'vitest';
import { foldActivityView, type NamedReport } from '#services/runs/activity.view.ts';
import { foldRunView } from '#services/runs/run.view.ts';
import { foldSessionView } from '#services/sessions/session.view.ts';
import { activityViewSchema, runViewSchema, sessionViewSchema } from '#streams/buckets.ts';
import type { RunEvent } from '#streams/run.ts';

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
  fence: 1,
  runnerId: 'r1',
  next: 'failed',
  commandId: null,
  expiredAt: 30,
};
const claimed: RunEvent = {
  type: 'fleetlog.run.claimed.v1',
  runId: runA,
  runnerId: 'r1',
  fence: 1,
  leaseMs: 2000,
  claimedAt: 20,
};

test('a run whose last lease was lost reads as failed, with the runner and the attempt in the message', () => {
  const events = [created(runA, 'Hello', 10), claimed, lost];
  let view: ReturnType<typeof foldRunView>;
  for (const [index, event] of events.entries())
    view = foldRunView(view, { boundary, seq: index + 5, event });
  expect(runViewSchema.parse(view)).toMatchObject({
    seq: 7,
    state: 'failed',
    attempt: 1,
    endedAt: 30,
    updatedAt: 30,
    failure: { kind: 'runner-lost', message: 'the lease of runner r1 expired (attempt 1 of 1)' },
  });
});

test('a transition of a run whose creation is not known gives no summary', () => {
  expect(foldRunView(undefined, { boundary, seq: 3, event: lost })).toBeUndefined();
});

test('WK-52 two runs of a session are both active, and the end of one leaves the other', () => {
  const steps: [number, RunEvent][] = [
    [10, created(runA, 'First', 10)],
    [12, created(runB, null, 12)],
    [20, claimed],
    [30, lost],
  ];
  let view: ReturnType<typeof foldSessionView>;
  for (const [index, [occurredAt, event]] of steps.entries())
    view = foldSessionView(view, { boundary, seq: index + 1, occurredAt, event });
  expect(sessionViewSchema.parse(view)).toMatchObject({
    seq: 4,
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
const folded = (...reports: NamedReport[]) => {
  let view: ReturnType<typeof foldActivityView>;
  for (const [index, report] of reports.entries())
    view = foldActivityView(view, {
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
  expect(activityViewSchema.parse(view)).toMatchObject({
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

test('a report that was folded before changes nothing', () => {
  const view = folded({ name: 'text', data: { ...about, text: 'hi' } });
  const again = foldActivityView(view, {
    boundary,
    agent: 'builder-1',
    seq: 1,
    occurredAt: 999,
    report: { name: 'text', data: { ...about, text: 'ho' } },
  });
  expect(again).toBe(view);
});

test('a gap in the reports of a runner is nobody’s activity', () => {
  const gap: NamedReport = {
    name: 'gap',
    data: { firstSourceSeq: 1, lastSourceSeq: 2, dropped: 2, reason: 'full' },
  };
  expect(folded(gap)).toBeUndefined();
});
