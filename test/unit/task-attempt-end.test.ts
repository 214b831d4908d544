// What the end of a run means for the task whose attempt it was, and which limits dispatch takes.
import { describe, expect, test } from 'vitest';
import { dispatch } from '#services/dispatch/service.ts';
import { endOfAttempt } from '#services/tasks/attempt-end.policy.ts';
import { RUN_EXAMPLES } from '#streams/generate-examples.ts';
import type { RunEvent } from '#streams/run.ts';

const completed = RUN_EXAMPLES['fleetlog.run.completed.v1'];
const expired = RUN_EXAMPLES['fleetlog.run.lease-expired.v1'];

describe('the end of a run', () => {
  test('that completed completes the attempt; one that yielded waits for somebody, so it is blocked', () => {
    const { result, endedAt } = completed;
    expect(endOfAttempt(completed)).toEqual({
      outcome: 'completed',
      failure: null,
      summary: result.summary,
      endedAt,
    });
    const yielded: RunEvent = { ...completed, result: { ...result, outcome: 'yielded' } };
    expect(endOfAttempt(yielded)).toMatchObject({ outcome: 'blocked', summary: result.summary });
  });
  test('that failed, is blocked or was cancelled ends the attempt so, and says why', () => {
    const { failure } = RUN_EXAMPLES['fleetlog.run.failed.v1'];
    expect(endOfAttempt(RUN_EXAMPLES['fleetlog.run.failed.v1'])).toMatchObject({
      outcome: 'failed',
      failure,
    });
    const { reason } = RUN_EXAMPLES['fleetlog.run.blocked.v1'];
    expect(endOfAttempt(RUN_EXAMPLES['fleetlog.run.blocked.v1'])).toMatchObject({
      outcome: 'blocked',
      summary: reason,
    });
    expect(endOfAttempt(RUN_EXAMPLES['fleetlog.run.cancelled.v1'])).toMatchObject({
      outcome: 'cancelled',
      summary: 'wrong branch',
    });
  });
  test('by a lost lease is the loss of its runner, unless the run goes on', () => {
    expect(endOfAttempt({ ...expired, next: 'failed' })).toMatchObject({
      outcome: 'failed',
      failure: { kind: 'runner-lost' },
    });
    expect(endOfAttempt({ ...expired, next: 'cancelled' })).toMatchObject({
      outcome: 'cancelled',
      failure: null,
    });
    expect(endOfAttempt({ ...expired, next: 'queued' })).toBeUndefined();
  });
  test('is no other transition', () => {
    const ends = new Set(['completed', 'failed', 'blocked', 'cancelled', 'lease-expired']);
    for (const [type, event] of Object.entries(RUN_EXAMPLES))
      if (!ends.has(type.replace(/^fleetlog\.run\.|\.v1$/g, '')))
        expect([type, endOfAttempt(event)]).toEqual([type, undefined]);
  });
});

describe('limits', () => {
  test('are named with their number, and refused otherwise', () => {
    const good = {
      queueLimits: ['fix=2', 'docs=0'],
      laneLimits: ['fix/slow=1'],
      providerLimits: ['claude=3'],
    };
    expect(dispatch.config.parse(good)).toMatchObject(good);
    for (const bad of [
      { queueLimits: ['fix'] },
      { queueLimits: ['fix=-1'] },
      { queueLimits: ['Fix=1'] },
      { laneLimits: ['fix=1'] },
      { agentLimits: ['a=b'] },
      { fleetLimit: -1 },
    ])
      expect(() => dispatch.config.parse(bad), JSON.stringify(bad)).toThrow();
  });
});
