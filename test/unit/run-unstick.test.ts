// What a run waits for: every state and every lack, in words, with the remedy that is safe.
import { describe, expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { findingOf, type Finding, type RunFacts } from '#services/runs/unstick.policy.ts';
import type { RunEvent } from '#streams/run.ts';
import { asked, WAIT_MS } from '#test/support/approval-history.ts';
import {
  cancelRequested,
  claimed,
  completed,
  created,
  expired,
  NOW,
  started,
} from '#test/support/run-history.ts';

const alive = { runnerId: 'runner-1', providers: ['exec'], slots: 1 };
const facts = { now: NOW, hasLease: false, runner: alive, isInstructed: true, held: 0, before: 0 };

const find = (history: readonly RunEvent[], changes: Partial<RunFacts> = {}): Finding => {
  const run = fold(runDecider, history);
  if (run === undefined) return expect.unreachable('the history begins with no creation');
  return findingOf(run, { ...facts, ...changes });
};
const running = [created(), claimed(), started()];

describe('a queued run', () => {
  const queued = [created()];
  test.each([
    ['instruction-lost', 'remind', { isInstructed: false }, 'is not kept any more'],
    ['instruction-lost', 'remind', { isInstructed: false, runner: null }, 'Besides, no runner'],
    ['lease-lingers', null, { hasLease: true }, 'within 10 s'],
    ['no-runner', null, { runner: null, before: 2 }, '2 runs of this agent wait before it.'],
    ['no-provider', null, { runner: { ...alive, providers: ['claude'] } }, 'has no exec (it has claude)'],
    ['runner-busy', null, { held: 1, before: 3 }, '(1 of 1)'],
    ['runner', 'remind', {}, 'it should begin within seconds'],
  ] as const)('waits for: %s (remedy: %s)', (waitsFor, remedy, changes, word) => {
    const finding = find(queued, changes);
    expect(finding).toMatchObject({ waitsFor, remedy });
    expect(finding.words.join(' ')).toContain(word);
  });
});

describe('a run that a runner holds', () => {
  test.each([
    ['claimed', [created(), claimed()]],
    ['running', running],
  ])('and that is %s waits for its program, or has lost its lease', (_state, history) => {
    expect(find(history, { hasLease: true })).toMatchObject({ waitsFor: 'program', remedy: null });
    expect(find(history)).toMatchObject({ waitsFor: 'lease-lost', remedy: 'expire-lease' });
  });

  test('and that is being cancelled waits for the end of its program', () => {
    const finding = find([...running, cancelRequested], { hasLease: true, runner: null });
    expect(finding).toMatchObject({ waitsFor: 'program-end', remedy: 'cancel-again' });
    expect(finding.words.join(' ')).toContain('not needed');
    expect(find([...running, cancelRequested])).toMatchObject({ waitsFor: 'lease-lost' });
  });
});

describe('a run with a question', () => {
  test('waits for a person, or for somebody to say that the time is over', () => {
    for (const mode of ['held', 'parked'] as const) {
      const history = [...running, asked(mode)];
      const waiting = find(history, { hasLease: mode === 'held' });
      expect(waiting).toMatchObject({ waitsFor: 'answer', remedy: null });
      expect(waiting.words.join(' ')).toContain('fleetlog approvals show apr_');
      expect(find(history, { hasLease: mode === 'held', now: NOW + WAIT_MS })).toMatchObject({
        waitsFor: 'answer-overdue',
        remedy: 'expire-approvals',
      });
    }
    expect(find([...running, asked('held')])).toMatchObject({ waitsFor: 'lease-lost' });
  });
});

test('an ended run waits for nothing', () => {
  for (const end of [completed, expired(1, 'failed')])
    expect(find([...running, end], { runner: null })).toMatchObject({ waitsFor: 'nothing', remedy: null });
});
