// A task whose run met a used-up quota.
import { describe, test } from 'vitest';
import type { TaskEvent } from '#streams/task.ts';
import {
  assigned,
  created,
  endFailed,
  given,
  lost,
  NOW,
  requeued,
  started,
} from '#test/support/task-history.ts';

describe('a used-up quota', () => {
  const limited = { kind: 'provider-limited', message: 'usage limit reached', retryAt: NOW + 1000 } as const;
  const waits = { ...requeued(1), failure: limited } as TaskEvent;
  test('makes the task wait again, and is no try of it', () => {
    const only = created({ maxAttempts: 1 });
    given(only, assigned(), started()).when(endFailed(limited)).then(waits);
    given(only, assigned(), waits, assigned(2))
      .when(endFailed(limited, 2))
      .thenLike({ type: 'fleetlog.task.requeued.v1', attempt: 2 });
    given(only, assigned(), waits, assigned(2), started(2))
      .when(endFailed(lost, 2))
      .thenLike({ type: 'fleetlog.task.failed.v1', failure: lost });
  });
  test('fails a task that must not be repeated: something of it may have been done', () => {
    given(created({ replay: 'fail' }), assigned(), started())
      .when(endFailed(limited))
      .thenLike({ type: 'fleetlog.task.failed.v1', failure: limited });
  });
});
