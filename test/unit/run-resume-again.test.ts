// A turn that goes on after an answer and cannot begin: tried again, the longer apart the later, and then failed.
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import type { RunEvent } from '#streams/run.ts';
import { answered, asked } from '#test/support/approval-history.ts';
import { claimed, created, expired, finish, given, nextCommand, started } from '#test/support/run-history.ts';

const failure = { kind: 'infra-failed', message: 'cannot start claude: ENOENT' } as const;
const notStarted = { outcome: 'failed', exitCode: null, failure } as const;
const resuming = [
  created({ maxAttempts: 1 }),
  claimed(),
  started(),
  asked('parked'),
  answered({ commandId: nextCommand }),
];
const lost = (fence: number): RunEvent =>
  ({ ...expired(fence, 'queued'), reason: failure.message }) as RunEvent;

test('WK-43 HR-47 HR-51 HR-52 HR-T13 a failed resume is queued again with its answer, each time after twice as long, and then fails', () => {
  const history: RunEvent[] = [...resuming];
  for (const [fence, retryAfterMs] of [
    [2, 1000],
    [3, 2000],
    [4, 4000],
    [5, 8000],
  ] as const) {
    history.push(claimed(fence));
    const state = given(...history)
      .when(finish(fence, notStarted))
      .thenLike({
        type: 'fleetlog.run.lease-expired.v1',
        next: 'queued',
        retryAfterMs,
        reason: failure.message,
      });
    expect(state).toMatchObject({ state: 'queued', resume: [{ decision: 'approve' }] });
    history.push(lost(fence));
  }
  given(...history, claimed(6))
    .when(finish(6, notStarted))
    .thenLike({ type: 'fleetlog.run.failed.v1', failure });
});

test('a report of it that comes again changes nothing', () => {
  given(...resuming, claimed(2), lost(2))
    .when(finish(2, notStarted))
    .thenUnchanged();
  expect(fold(runDecider, [...resuming, claimed(2), lost(2)])?.state).toBe('queued');
});

test('a turn that does not go on after an answer fails at once, and so does a resume that ran', () => {
  given(created(), claimed()).when(finish(1, notStarted)).thenLike({ type: 'fleetlog.run.failed.v1' });
  given(...resuming, claimed(2))
    .when(finish(2, { outcome: 'failed', failure: { kind: 'provider-failed', message: 'broke' } }))
    .thenLike({ type: 'fleetlog.run.failed.v1' });
});
