// Approvals of a run: every way a question is asked, answered, runs out, is withdrawn or is overtaken.
import { describe, expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { isHeld } from '#services/runs/run-state.policy.ts';
import type { RunEvent } from '#streams/run.ts';
import {
  answer,
  answered,
  approvalA,
  approvalB,
  ask,
  asked,
  DIGEST,
  expireApproval,
  WAIT_MS,
  withdraw,
} from '#test/support/approval-history.ts';
import { given as givenHistory } from '#test/support/given.ts';
import {
  cancelRequested,
  claimed,
  completed,
  created,
  expired,
  given,
  nextCommand,
  NOW,
  runId,
  sessionId,
  start,
  started,
  turnA,
  turnB,
} from '#test/support/run-history.ts';

const stateAfter = (...history: RunEvent[]) => fold(runDecider, history);
const at = (now: number, ...history: RunEvent[]) => ({
  when: (command: Parameters<ReturnType<typeof given>['when']>[0]) =>
    givenHistory(runDecider, ...history).when(command, { now }),
});
const going = [created(), claimed(), started()];
const held = [...going, asked('held')];
const parked = [...going, asked('parked')];

describe('a question', () => {
  test('HR-28 HR-T7 WK-77 is appended together with the state: the run waits, and can be answered from then on', () => {
    given(...going)
      .when(ask('held'))
      .then(asked('held'));
    expect(stateAfter(...held)).toMatchObject({
      state: 'waiting',
      runnerId: 'runner-1',
      open: [{ approvalId: approvalA, digest: DIGEST }],
    });
  });
  test('that is parked gives the claim back in the same append', () => {
    given(...going)
      .when(ask('parked'))
      .then(asked('parked'));
    const state = stateAfter(...parked);
    expect(state).toMatchObject({ state: 'waiting', runnerId: null, finishedBy: 1 });
    expect(state !== undefined && isHeld(state)).toBe(false);
  });
  test('that is parked closes those that were held', () => {
    given(...held)
      .when(ask('parked', { approvalId: approvalB }))
      .then({ ...asked('parked', { approvalId: approvalB }), approvalsClosed: [approvalA] } as RunEvent);
  });
  test('is accepted although the started report is missing, and that one is no news afterwards', () => {
    given(created(), claimed()).when(ask('held')).then(asked('held'));
    given(created(), claimed(), asked('held')).when(start()).thenUnchanged();
    given(created(), claimed(), asked('parked')).when(start()).thenUnchanged();
  });
  test('reported again changes nothing, whatever has happened since', () => {
    for (const mode of ['held', 'parked'] as const) {
      given(...going, asked(mode))
        .when(ask(mode))
        .thenUnchanged();
      given(...going, asked(mode), answered())
        .when(ask(mode))
        .thenUnchanged();
    }
    given(...held, completed)
      .when(ask('held'))
      .thenUnchanged();
  });
  test('waits as long as the runner wanted it to, whatever the runner’s clock says', () => {
    at(NOW + 3_600_000, ...going)
      .when(ask('held'))
      .thenLike({ expiresAt: NOW + 3_600_000 + WAIT_MS });
  });
  test('under an old fence, of another agent or of another turn is refused', () => {
    given(created(), claimed(), expired(1, 'queued'), claimed(2))
      .when(ask('held'))
      .thenRejected('RUN_FENCED');
    given(...going)
      .when({ ...ask('held'), agent: 'builder-2' } as ReturnType<typeof ask>)
      .thenRejected('RUN_FOREIGN');
    given(...going)
      .when(ask('held', { turnId: turnB }))
      .thenRejected('RUN_TURN_STARTED');
  });
  test('beyond the limit of open ones is refused', () => {
    const ids = 'ABCDEFGHJKMNPQRS'.split('').map((last) => `apr_01HF3Z0000000000000000000${last}`);
    const many = ids.map((approvalId) => asked('held', { approvalId }));
    given(...going, ...many)
      .when(ask('held', { approvalId: 'apr_01HF3Z0000000000000000000T' }))
      .thenRejected('APPROVAL_TOO_MANY');
  });
  test('of a run that is being cancelled is refused while held, and ends the run when parked', () => {
    given(...going, cancelRequested)
      .when(ask('held'))
      .thenRejected('RUN_CANCELLED');
    given(...going, cancelRequested)
      .when(ask('parked'))
      .then({
        type: 'fleetlog.run.cancelled.v1',
        runId,
        sessionId,
        fence: 1,
        turnId: turnA,
        endedAt: NOW,
        reason: 'not needed',
        result: null,
      });
  });
});

describe('an answer', () => {
  test('HR-43 approve, reject and edit are recorded with who said so; only edit carries an input', () => {
    given(...held)
      .when(answer())
      .then(answered());
    given(...held)
      .when(answer({ decision: 'reject', message: 'not on a Friday' }))
      .then(answered({ decision: 'reject', message: 'not on a Friday' }));
    given(...held)
      .when(answer({ decision: 'edit', input: { command: 'make -n release' } }))
      .then(answered({ decision: 'edit', input: { command: 'make -n release' } }));
  });
  test('lets a held run go on where it is', () => {
    expect(stateAfter(...held, answered())).toMatchObject({
      state: 'running',
      runnerId: 'runner-1',
      open: [],
    });
  });
  test('of one of two held questions leaves the run waiting for the other', () => {
    const both = [...held, asked('held', { approvalId: approvalB })];
    expect(stateAfter(...both, answered())).toMatchObject({
      state: 'waiting',
      open: [{ approvalId: approvalB }],
    });
  });
  test('HR-45 HR-T8 WK-42 puts a parked run back in the queue, with the decision and the instruction that goes on with it', () => {
    given(...parked)
      .when(answer())
      .then(answered({ commandId: nextCommand }));
    expect(stateAfter(...parked, answered({ commandId: nextCommand }))).toMatchObject({
      state: 'queued',
      commandId: nextCommand,
      resume: [{ approvalId: approvalA, callId: 'toolu_1', digest: DIGEST, decision: 'approve' }],
    });
  });
  test('WK-41 that comes second is refused, and names the first', () => {
    for (const history of [held, parked])
      expect(
        given(...history, answered()).when(answer({ decision: 'reject', by: 'user:ben' })).decision,
      ).toMatchObject({
        kind: 'rejected',
        rejection: { code: 'APPROVAL_ANSWERED', detail: { by: 'user:anna', decision: 'approve' } },
      });
  });
  test('to another call than the one that waits is refused', () => {
    given(...held)
      .when(answer({ digest: 'e'.repeat(64) }))
      .thenRejected('APPROVAL_OTHER_CALL');
    given(...held)
      .when(answer({ digest: DIGEST }))
      .then(answered());
  });
  test('to a question that was never asked is refused', () => {
    given(...held)
      .when(answer({ approvalId: approvalB }))
      .thenRejected('APPROVAL_UNKNOWN');
  });
  test('after its time is refused, also while nobody has said that it is over', () => {
    at(NOW + WAIT_MS, ...held)
      .when(answer())
      .thenRejected('APPROVAL_CLOSED');
    given(...held, answered({ decision: 'expired', by: 'service:runs' }))
      .when(answer())
      .thenRejected('APPROVAL_CLOSED');
  });
  test('after the end of the run is refused', () => {
    given(...held, completed)
      .when(answer())
      .thenRejected('APPROVAL_CLOSED');
  });
});

describe('a question that nobody answers', () => {
  const over = { decision: 'expired', by: 'service:runs', answeredAt: NOW + WAIT_MS } as const;
  test('counts as refused when its time is over, and not before', () => {
    at(NOW + WAIT_MS - 1, ...held)
      .when(expireApproval)
      .thenUnchanged();
    at(NOW + WAIT_MS, ...held)
      .when(expireApproval)
      .thenLike(over);
    at(NOW + WAIT_MS, ...parked)
      .when(expireApproval)
      .thenLike({ ...over, commandId: nextCommand });
  });
  test('expires once, and not after an answer', () => {
    at(NOW + WAIT_MS, ...held, answered())
      .when(expireApproval)
      .thenUnchanged();
    at(NOW + WAIT_MS, ...going)
      .when(expireApproval)
      .thenRejected('APPROVAL_UNKNOWN');
  });
});

describe('a question that the program withdraws', () => {
  test('lets the run go on, and cannot be answered any more', () => {
    given(...held)
      .when(withdraw())
      .thenLike({ decision: 'withdrawn', by: 'agent:builder-1' });
    given(...held, answered({ decision: 'withdrawn' }))
      .when(answer())
      .thenRejected('APPROVAL_CLOSED');
  });
  test('after an answer changes nothing; under an old fence, or when it is parked, it is refused', () => {
    given(...held, answered())
      .when(withdraw())
      .thenUnchanged();
    given(...parked)
      .when(withdraw())
      .thenRejected('RUN_FENCED');
    given(...going)
      .when(withdraw())
      .thenRejected('APPROVAL_UNKNOWN');
  });
});
