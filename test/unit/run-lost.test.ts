// A runner that reports itself lost: the replay rule of the run decides, as after a lease that ran out.
import { describe, test } from 'vitest';
import {
  nextCommand,
  created,
  claimed,
  started,
  cancelRequested,
  finish,
  given,
} from '#test/support/run-history.ts';

describe('a runner that reports itself lost', () => {
  const failure = { kind: 'runner-lost', message: 'the runner was restarted during the turn' } as const;
  const lost = finish(1, { outcome: 'failed', failure });
  test('puts the run back in the queue, as an expired lease does', () => {
    given(created(), claimed(), started()).when(lost).thenLike({
      type: 'fleetlog.run.lease-expired.v1',
      next: 'queued',
      commandId: nextCommand,
      reason: failure.message,
    });
  });
  test('ER-14 fails the run when its replay rule or its attempts say so, with the result', () => {
    for (const rule of [created({ replay: 'fail' }), created({ maxAttempts: 1 })])
      given(rule, claimed(), started()).when(lost).thenLike({ type: 'fleetlog.run.failed.v1', failure });
  });
  test('cancels the run that was to be cancelled', () => {
    given(created(), claimed(), started(), cancelRequested)
      .when(lost)
      .thenLike({ type: 'fleetlog.run.cancelled.v1' });
  });
});
