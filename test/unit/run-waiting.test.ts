// Runs that wait for an answer, or go on with one: cancelled, ended, lost, claimed.
import { describe, expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import type { RunEvent } from '#streams/run.ts';
import { answer, answered, approvalA, approvalB, ask, asked } from '#test/support/approval-history.ts';
import {
  cancel,
  cancelRequested,
  claim,
  claimed,
  completed,
  created,
  expire,
  expired,
  finish,
  given,
  nextCommand,
  NOW,
  result,
  runId,
  sessionId,
  started,
  turnB,
} from '#test/support/run-history.ts';

const stateAfter = (...history: RunEvent[]) => fold(runDecider, history);
const going = [created(), claimed(), started()];
const held = [...going, asked('held')];
const parked = [...going, asked('parked')];
const resumed = [...parked, answered({ commandId: nextCommand }), claimed(2)];

describe('a waiting run', () => {
  test('HR-40 HR-T4 that is cancelled while parked ends at once and closes its question', () => {
    given(...parked)
      .when(cancel)
      .then({
        type: 'fleetlog.run.cancelled.v1',
        runId,
        sessionId,
        fence: null,
        turnId: null,
        endedAt: NOW,
        reason: 'not needed',
        result: null,
        approvalsClosed: [approvalA],
      });
  });
  test('that is cancelled while held closes its question at once; its runner ends the program', () => {
    given(...held)
      .when(cancel)
      .then({ ...cancelRequested, approvalsClosed: [approvalA] } as RunEvent);
    given(...held, cancelRequested)
      .when(answer())
      .thenRejected('APPROVAL_CLOSED');
  });
  test('HR-44 whose resumption is cancelled before it was taken starts nothing any more', () => {
    given(...parked, answered({ commandId: nextCommand }))
      .when(cancel)
      .thenLike({ type: 'fleetlog.run.cancelled.v1', reason: 'not needed' });
  });
  test('whose program ends by itself closes its question with its end', () => {
    given(...held)
      .when(finish())
      .then({ ...completed, approvalsClosed: [approvalA] } as RunEvent);
  });
  test('that is held obeys the replay rule when its lease is lost', () => {
    given(...held)
      .when(expire())
      .then({ ...expired(1, 'queued'), approvalsClosed: [approvalA] } as RunEvent);
    given(created({ replay: 'fail' }), claimed(), asked('held'))
      .when(expire())
      .thenLike({ next: 'failed', approvalsClosed: [approvalA] });
    given(...held, expired(1, 'queued'))
      .when(answer())
      .thenRejected('APPROVAL_CLOSED');
  });
  test('HR-53 that is parked has no lease to lose, and cannot be claimed', () => {
    given(...parked)
      .when(expire())
      .thenUnchanged();
    given(...parked)
      .when(claim)
      .thenRejected('RUN_WAITING');
  });
});

describe('a resumed run', () => {
  test('is not given to an instruction that does not know the answer', () => {
    const queued = [...parked, answered({ commandId: nextCommand })];
    given(...queued)
      .when({ ...claim, commandId: `cmd_01HF3Z00000000000000000001` } as typeof claim)
      .thenRejected('RUN_INSTRUCTION_OLD');
    given(...queued)
      .when({ ...claim, commandId: nextCommand } as typeof claim)
      .then(claimed(2));
  });
  test('has used no attempt by parking', () => {
    const once = [created({ maxAttempts: 1 }), ...resumed.slice(1)];
    given(...once)
      .when(expire(2))
      .thenLike({ next: 'failed' });
    given(...resumed)
      .when(expire(2))
      .thenLike({ next: 'queued' });
    given(...resumed, expired(2, 'queued'), claimed(3))
      .when(expire(3))
      .thenLike({ next: 'failed' });
  });
  test('keeps the answer when its runner is lost, and drops it with its own end or next question', () => {
    expect(stateAfter(...resumed, expired(2, 'queued'))?.resume).toHaveLength(1);
    const again = asked('parked', { approvalId: approvalB, fence: 2, turnId: turnB });
    expect(stateAfter(...resumed, again)?.resume).toEqual([]);
    expect(stateAfter(...resumed, { ...completed, fence: 2, result: result() } as RunEvent)?.resume).toEqual(
      [],
    );
  });
  test('HR-46 HR-T9 may wait for another approval, or complete', () => {
    given(...resumed)
      .when(ask('parked', { approvalId: approvalB, fence: 2, turnId: turnB }))
      .then(asked('parked', { approvalId: approvalB, fence: 2, turnId: turnB }));
    given(...resumed)
      .when(finish(2))
      .thenLike({ type: 'fleetlog.run.completed.v1' });
  });
});
