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
const resumed = [...parked, answered({ commandId: nextCommand }), claimed(2)];

describe('a question', () => {
  test('HR-28 WK-77 is appended together with the state: the run waits, and can be answered from then on', () => {
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
  test('HR-45 WK-42 puts a parked run back in the queue, with the decision and the instruction that goes on with it', () => {
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
  test('that is parked has no lease to lose, and cannot be claimed', () => {
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
