// Every transition and refusal of a run, given a history, when a command, then an event or a refusal.
import { describe, test } from 'vitest';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import {
  NOW,
  runId,
  sessionId,
  turnA,
  turnB,
  createData,
  result,
  created,
  claimed,
  started,
  expired,
  cancelRequested,
  completed,
  cancelledQueued,
  claim,
  cancel,
  start,
  finish,
  expire,
  given,
} from '#test/support/run-history.ts';

describe('creating a run', () => {
  test('HR-07 ST-06 ST-T1 appends the whole request', () => {
    given().when({ kind: 'create', data: createData() }).then(created());
  });
  test('the same request again changes nothing, also after the end', () => {
    given(created()).when({ kind: 'create', data: createData() }).thenUnchanged();
    given(created(), claimed(), completed).when({ kind: 'create', data: createData() }).thenUnchanged();
  });
  test('another request under the same id is refused', () => {
    given(created())
      .when({ kind: 'create', data: createData({ requestHash: 'b'.repeat(64) }) })
      .thenRejected('RUN_CONFLICTING_REQUEST');
  });
  test('every other command on a run that does not exist is refused', () => {
    for (const command of [claim, cancel, start(), finish(), expire()])
      given().when(command).thenRejected('RUN_UNKNOWN');
  });
});

describe('claiming a run', () => {
  test('ST-10 gives the first claim the fence 1', () => {
    given(created()).when(claim).then(claimed());
  });
  test('gives the claim after a lost lease the next fence', () => {
    given(created(), claimed(), expired(1, 'queued')).when(claim).then(claimed(2));
  });
  test('ST-10 is refused while another claim holds it', () => {
    given(created(), claimed()).when(claim).thenRejected('RUN_CLAIMED');
    given(created(), claimed(), started()).when(claim).thenRejected('RUN_CLAIMED');
    given(created(), claimed(), cancelRequested).when(claim).thenRejected('RUN_CLAIMED');
  });
  test('is refused for another agent, whatever the run’s state', () => {
    const foreign: RunCommand = { kind: 'claim', agent: 'builder-2', runnerId: 'runner-1' };
    for (const history of [[created()], [created(), claimed()], [created(), claimed(), completed]])
      given(...history)
        .when(foreign)
        .thenRejected('RUN_FOREIGN');
  });
  test('is refused after the end', () => {
    given(created(), claimed(), completed).when(claim).thenRejected('RUN_ENDED');
    given(created(), claimed(), expired(1, 'failed')).when(claim).thenRejected('RUN_ENDED');
    given(created(), cancelledQueued).when(claim).thenRejected('RUN_CANCELLED');
  });
});

describe('a turn started', () => {
  test('HR-T1 moves a claimed run to running', () => {
    given(created(), claimed()).when(start()).then(started());
  });
  test('reported again changes nothing, also after the end', () => {
    given(created(), claimed(), started()).when(start()).thenUnchanged();
    given(created(), claimed(), started(), completed).when(start()).thenUnchanged();
  });
  test('is recorded while the run is being cancelled', () => {
    given(created(), claimed(), cancelRequested).when(start()).then(started());
  });
  test('is refused for a second turn under one claim', () => {
    given(created(), claimed(), started()).when(start(1, turnB)).thenRejected('RUN_TURN_STARTED');
  });
  test('is refused under an old fence', () => {
    given(created(), claimed(), expired(1, 'queued')).when(start()).thenRejected('RUN_FENCED');
    given(created(), claimed(), expired(1, 'queued'), claimed(2)).when(start(1)).thenRejected('RUN_FENCED');
  });
  test('is refused for a run that nobody claimed', () => {
    given(created()).when(start()).thenRejected('RUN_NOT_CLAIMED');
  });
});

describe('a turn finished', () => {
  test('HR-T10 ST-13 completes the run', () => {
    given(created(), claimed(), started()).when(finish()).then(completed);
  });
  test('is accepted although the started report is missing', () => {
    given(created(), claimed()).when(finish()).then(completed);
  });
  test('WK-22 that yielded completes the run, and its result says that the work is not done', () => {
    const yielded = result({ outcome: 'yielded', summary: 'waiting for the others' });
    given(created(), claimed(), started())
      .when(finish(1, yielded))
      .then({ ...completed, result: yielded } as RunEvent);
  });
  test('that is blocked blocks the run for the reason that the agent gave', () => {
    const blocked = result({ outcome: 'blocked', summary: 'no key' });
    const end = { runId, sessionId, fence: 1, turnId: turnA, endedAt: NOW } as const;
    given(created(), claimed(), started())
      .when(finish(1, blocked))
      .then({ type: 'fleetlog.run.blocked.v1', ...end, reason: 'no key', result: blocked });
    const silent = result({ outcome: 'blocked', summary: '' });
    const reason = 'the agent did not say why';
    given(created(), claimed(), started())
      .when(finish(1, silent))
      .then({ type: 'fleetlog.run.blocked.v1', ...end, reason, result: silent });
  });
  test('HR-32 HR-T10 ST-13 that failed fails the run for the reason it names', () => {
    const failure = { kind: 'turn-timeout', message: 'too slow' } as const;
    const failed = result({ outcome: 'failed', exitCode: null, failure });
    given(created(), claimed(), started()).when(finish(1, failed)).then({
      type: 'fleetlog.run.failed.v1',
      runId,
      sessionId,
      fence: 1,
      turnId: turnA,
      endedAt: NOW,
      failure,
      result: failed,
    });
  });
  test('HR-37 that failed without a reason fails the run with its last words', () => {
    const failed = result({ outcome: 'failed', exitCode: 2, summary: 'no such file' });
    given(created(), claimed())
      .when(finish(1, failed))
      .then({
        type: 'fleetlog.run.failed.v1',
        runId,
        sessionId,
        fence: 1,
        turnId: turnA,
        endedAt: NOW,
        failure: { kind: 'provider-failed', message: 'no such file' },
        result: failed,
      });
  });
  test('that an unfit runner could do nothing of says so, unless a turn of an earlier claim has begun', () => {
    const failure = { kind: 'infra-failed', message: 'no room' } as const;
    const unfit = result({ outcome: 'failed', exitCode: null, failure: { ...failure, unfit: true } });
    given(created(), claimed())
      .when(finish(1, unfit))
      .thenLike({ type: 'fleetlog.run.failed.v1', failure: { ...failure, unfit: true } });
    given(created(), claimed(), started())
      .when(finish(1, unfit))
      .thenLike({ type: 'fleetlog.run.failed.v1', failure: { ...failure, unfit: true } });
    given(created(), claimed(), started(), expired(1, 'queued'), claimed(2))
      .when(finish(2, unfit, turnB))
      .then({
        type: 'fleetlog.run.failed.v1',
        runId,
        sessionId,
        fence: 2,
        turnId: turnB,
        endedAt: NOW,
        failure,
        result: unfit,
      });
  });
  test('HR-41 that the runner cancelled cancels the run', () => {
    const cancelled = result({ outcome: 'cancelled', exitCode: null, signal: 'SIGTERM' });
    given(created(), claimed(), started()).when(finish(1, cancelled)).then({
      type: 'fleetlog.run.cancelled.v1',
      runId,
      sessionId,
      fence: 1,
      turnId: turnA,
      endedAt: NOW,
      reason: 'the runner cancelled the turn',
      result: cancelled,
    });
  });
  test('WK-38 faster than the cancel still cancels the run, and what it did is kept', () => {
    given(created(), claimed(), started(), cancelRequested).when(finish()).then({
      type: 'fleetlog.run.cancelled.v1',
      runId,
      sessionId,
      fence: 1,
      turnId: turnA,
      endedAt: NOW,
      reason: 'not needed',
      result: result(),
    });
  });
  test('ER-11 ST-13 reported again changes nothing', () => {
    given(created(), claimed(), started(), completed).when(finish()).thenUnchanged();
  });
  test('WK-54 is refused under a fence that no longer holds the run', () => {
    given(created(), claimed(), expired(1, 'queued')).when(finish(1)).thenRejected('RUN_FENCED');
    given(created(), claimed(), expired(1, 'queued'), claimed(2)).when(finish(1)).thenRejected('RUN_FENCED');
    given(created(), claimed(), expired(1, 'failed')).when(finish(1)).thenRejected('RUN_FENCED');
    given(created(), claimed()).when(finish(7)).thenRejected('RUN_FENCED');
  });
});

test('a report of an agent that the run was not given to is refused', () => {
  const foreign = { ...start(), agent: 'builder-2' } as RunCommand;
  given(created(), claimed()).when(foreign).thenRejected('RUN_FOREIGN');
});

describe('a lost lease', () => {
  test('HR-T11 HR-T12 puts the run back with a new instruction while attempts are left', () => {
    given(created(), claimed()).when(expire()).then(expired(1, 'queued'));
    given(created(), claimed(), started()).when(expire()).then(expired(1, 'queued'));
  });
  test('fails the run when no attempt is left', () => {
    given(created({ maxAttempts: 1 }), claimed())
      .when(expire())
      .then(expired(1, 'failed'));
  });
  test('HR-T12 fails the run when its rule is not to repeat it', () => {
    given(created({ replay: 'fail' }), claimed())
      .when(expire())
      .then(expired(1, 'failed'));
  });
  test('ends a run that is being cancelled', () => {
    given(created(), claimed(), cancelRequested).when(expire()).then(expired(1, 'cancelled'));
  });
  test('that another observer recorded changes nothing', () => {
    given(created(), claimed(), expired(1, 'queued')).when(expire(1)).thenUnchanged();
    given(created(), claimed(), expired(1, 'queued'), claimed(2)).when(expire(1)).thenUnchanged();
    given(created(), claimed(), completed).when(expire(1)).thenUnchanged();
  });
  test('of a claim that never was is refused', () => {
    given(created()).when(expire(1)).thenRejected('RUN_NOT_CLAIMED');
  });
});

describe('a cancel', () => {
  test('ends a queued run at once', () => {
    given(created()).when(cancel).then(cancelledQueued);
    given(created(), claimed(), expired(1, 'queued')).when(cancel).then(cancelledQueued);
  });
  test('HR-39 HR-T5 asks the holder of a claimed or running run to end it', () => {
    given(created(), claimed()).when(cancel).then(cancelRequested);
    given(created(), claimed(), started()).when(cancel).then(cancelRequested);
  });
  test('ER-11 HR-38 asked for again, or after the end, changes nothing', () => {
    given(created(), claimed(), cancelRequested).when(cancel).thenUnchanged();
    given(created(), claimed(), completed).when(cancel).thenUnchanged();
    given(created(), cancelledQueued).when(cancel).thenUnchanged();
  });
});
