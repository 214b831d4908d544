// Runners that cannot begin what they get: for how long they get nothing, what ends that, and that the work of a fleet goes on beside them.
import { array, assert, integer, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { Board } from '#services/dispatch/board.policy.ts';
import { decideGrants } from '#services/dispatch/dispatch.policy.ts';
import type { Limits } from '#services/dispatch/limits.policy.ts';
import { allFit, unfitForMs } from '#services/dispatch/unfit.policy.ts';
import { explainWaiting } from '#services/dispatch/why.policy.ts';
import { withAccount } from '#services/runner/providers/account.policy.ts';
import { isUnfitAfter } from '#services/runner/unfit.policy.ts';
import { RUN_EXAMPLES } from '#streams/generate-examples.ts';
import type { ProviderName, RunEvent } from '#streams/run.ts';
import type { TaskEvent } from '#streams/task.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import {
  assigned,
  created,
  createData,
  endFailed,
  given,
  lost,
  requeued,
  started,
} from '#test/support/task-history.ts';

const none: Limits = { queues: new Map(), lanes: new Map(), agents: new Map(), providers: new Map() };
const facts = { providers: ['exec'], labels: [], slots: 1, startedAt: 1 };
const unfit = { kind: 'infra-failed', message: 'cannot start /bin/agent: ENOENT', unfit: true } as const;

describe('a runner that cannot begin', () => {
  const board = (): Board => {
    const made = new Board();
    made.applyTask({ type: 'fleetlog.task.created.v1', ...createData(), createdAt: 1 }, 1);
    made.runners.present('a1', facts);
    return made;
  };
  const runOf = (agent: string): RunEvent => ({
    ...RUN_EXAMPLES['fleetlog.run.created.v1'],
    agent,
    provider: 'exec',
  });
  const failedAt = (endedAt: number): RunEvent => ({
    ...RUN_EXAMPLES['fleetlog.run.failed.v1'],
    failure: unfit,
    endedAt,
  });
  const grants = (on: Board): readonly string[] => decideGrants(on, none, 10).map(({ agent }) => agent);

  test('gets nothing for a while, and whoever asks is told why and how long; others go on', () => {
    const on = board();
    on.applyRun(runOf('a1'));
    on.applyRun(failedAt(1000));
    expect(grants(on)).toEqual([]);
    expect(explainWaiting(on, none)[0]).toMatchObject({
      reason: 'runner-unfit',
      because: 'a runner could do nothing of what it got last (a1); it said: cannot start /bin/agent: ENOENT',
      untilMs: 6000,
    });
    on.runners.present('a2', facts);
    expect(grants(on)).toEqual(['a2']);
    on.runners.gone('a2');
    on.runners.unfit.endDue(6000);
    expect(grants(on)).toEqual(['a1']);
  });

  test('gets something again at once when its process is another one, and not for a word of the same', () => {
    const on = board();
    on.applyRun(runOf('a1'));
    on.applyRun(failedAt(1000));
    on.runners.present('a1', { ...facts, slots: 2 });
    expect(grants(on)).toEqual([]);
    on.runners.present('a1', { ...facts, startedAt: 2 });
    expect(grants(on)).toEqual(['a1']);
  });

  test('is believed from the first work that it does, well or badly', () => {
    for (const worked of ['completed', 'blocked', 'failed'] as const) {
      const on = board();
      for (const at of [1000, 7000]) {
        on.applyRun(runOf('a1'));
        on.applyRun(failedAt(at));
        on.runners.unfit.endDue(at + 10_000);
      }
      expect(on.runners.unfit.of('a1', 'exec')).toBeUndefined();
      on.applyRun(runOf('a1'));
      on.applyRun(RUN_EXAMPLES[`fleetlog.run.${worked}.v1`]);
      on.applyRun(runOf('a1'));
      on.applyRun(failedAt(30_000));
      expect(on.runners.unfit.of('a1', 'exec')?.untilMs, worked).toBe(35_000);
    }
  });

  test('waits the longer the oftener it fails, within bounds, and never the longer for what failed beside it', () => {
    assert(
      property(array(integer({ min: 0, max: 600_000 }), { minLength: 1, maxLength: 20 }), (gapsMs) => {
        const set = allFit();
        let atMs = 0;
        let lastMs = 0;
        for (const gapMs of gapsMs) {
          atMs += gapMs;
          set.endDue(atMs);
          const before = set.of('a', 'exec')?.untilMs;
          set.failed('a', 'exec', { atMs, why: 'x' });
          const until = set.of('a', 'exec')?.untilMs ?? 0;
          if (before !== undefined) expect(until).toBe(before);
          else {
            const waitMs = until - atMs;
            expect([unfitForMs(1), Math.min(300_000, lastMs * 2)]).toContain(waitMs);
            lastMs = waitMs;
          }
          expect(set.next()).toBe(until);
        }
        expect(set.of('b', 'exec')).toBeUndefined();
        expect(set.of('a', 'claude')).toBeUndefined();
      }),
    );
  });
});

describe('work that an unfit runner got', () => {
  test('waits again, whatever its replay rule, and it is no try', () => {
    for (const replay of ['requeue', 'fail'] as const) {
      const only = created({ maxAttempts: 1, replay });
      const again = {
        type: 'fleetlog.task.requeued.v1',
        attempt: 1,
        outcome: 'failed',
        failure: unfit,
      } as const;
      given(only, assigned()).when(endFailed(unfit)).thenLike(again);
    }
    const again = { ...requeued(1), failure: unfit } as TaskEvent;
    given(created({ maxAttempts: 1 }), assigned(), again, assigned(2), started(2))
      .when(endFailed(lost, 2))
      .thenLike({ type: 'fleetlog.task.failed.v1', failure: lost });
    given(created({ maxAttempts: 2 }), assigned(), again, assigned(2), started(2))
      .when(endFailed(lost, 2))
      .thenLike({ type: 'fleetlog.task.requeued.v1', attempt: 2 });
  });
  test('fails as ever for what is not the runner’s', () => {
    const { unfit: _unfit, ...ofTheWork } = unfit;
    given(created(), assigned(), started())
      .when(endFailed(ofTheWork))
      .thenLike({ type: 'fleetlog.task.failed.v1', failure: ofTheWork });
    given(created({ maxAttempts: 1 }), assigned(), started())
      .when(endFailed(lost))
      .thenLike({ type: 'fleetlog.task.failed.v1' });
  });
});

describe('an account that is not valid', () => {
  const closing = { outcome: 'failed', summary: '', message: '' } as const;
  const failedBy = (message: string): TurnResult => ({
    outcome: 'failed',
    exitCode: 1,
    signal: null,
    summary: '',
    failure: { kind: 'provider-failed', message },
    durationMs: 1,
    events: 3,
  });
  const isUnfit = (message: string, more: { provider?: ProviderName; toolCalls?: number } = {}) =>
    withAccount(failedBy(message), { closing }, { provider: 'claude', toolCalls: 0, ...more }).failure
      ?.unfit === true;

  test.each([
    'Failed to authenticate. API Error: 401 no such key',
    'unexpected status 401 Unauthorized: no such key, url: http://127.0.0.1:1/v1/responses',
    'Invalid API key · Please run /login',
    'Authentication required',
    'OAuth token has expired',
    'Your credit balance is too low to use this model',
  ])('is the runner’s trouble: %s', (message) => {
    expect(isUnfit(message)).toBe(true);
  });
  test('is none of: other failures, work that was under way, what a program of any kind prints', () => {
    for (const message of ['API Error: 500 overloaded', 'line 401 is wrong', 'the test of the login failed'])
      expect(isUnfit(message), message).toBe(false);
    expect(isUnfit('API Error: 401', { toolCalls: 1 })).toBe(false);
    expect(isUnfit('API Error: 401', { provider: 'exec' })).toBe(false);
    const quiet = withAccount(
      failedBy('API Error: 401'),
      { closing: null },
      { provider: 'claude', toolCalls: 0 },
    );
    expect(quiet.failure?.unfit).toBeUndefined();
  });
});

describe('whose fault it is', () => {
  const request = { prompt: 'x', turnTimeoutMs: 1000 };
  const fault = (code: string): Fault => new Fault({ code, retry: 'never', message: code });
  test.each([
    ['a full disk', fault('DISK_FLOOR'), request, true],
    ['a program that is not there', fault('PROVIDER_MISSING'), request, true],
    ['what the system says', Object.assign(new Error('EACCES'), { code: 'EACCES' }), request, true],
    ['git, in the usual repository', fault('GIT_FAILED'), request, true],
    [
      'git, where a branch was asked for',
      fault('GIT_FAILED'),
      { ...request, checkout: { branch: 'x' } },
      false,
    ],
    ['a name that cannot be', fault('WORKSPACE_INVALID'), request, false],
    ['a program that the runner does not take', fault('PROVIDER_PROGRAM'), request, false],
  ])('%s', (_, error, asked, isRunners) => {
    expect(isUnfitAfter(error, asked)).toBe(isRunners);
  });
});
