// The turns of a run by its commands: a further one after the one before it, and an interrupt.
import { describe, expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import type { RunEvent } from '#streams/run.ts';
import {
  acknowledge,
  acknowledged,
  firstTurn,
  followUp,
  interruptA,
  refuse,
  takeBack,
  takenBack,
  told,
  turnFinished,
} from '#test/support/command-history.ts';
import {
  claim,
  claimed,
  completed,
  created,
  expire,
  finish,
  given,
  nextCommand,
  NOW,
  result,
  runId,
  sessionId,
  started,
  turnA,
  turnB,
} from '#test/support/run-history.ts';

const running = [created(), claimed(), started()] as const;
const end = { runId, sessionId, fence: 1, turnId: turnA, endedAt: NOW };
const stopped = { outcome: 'cancelled', exitCode: null, signal: 'SIGTERM' } as const;
const stateOf = (commandId: string, ...history: RunEvent[]): string | undefined =>
  fold(runDecider, history)?.commands.find((command) => command.commandId === commandId)?.state;

describe('a further turn', () => {
  const turnOver = turnFinished();
  test('is done after the one before it, in the same run', () => {
    const after = given(...running, told('turn'))
      .when(finish())
      .then(turnOver);
    expect(after).toMatchObject({ state: 'queued', turnCommandId: followUp, commandId: nextCommand });
    expect(stateOf(firstTurn, ...running, told('turn'), turnOver)).toBe('completed');
    given(...running, told('turn'), turnOver)
      .when(finish())
      .thenUnchanged();
  });

  test('is claimed by its own instruction only: that of an earlier turn would do the earlier turn again', () => {
    const history = [...running, told('turn'), turnOver];
    given(...history)
      .when({ ...claim, commandId: firstTurn } as never)
      .thenRejected('RUN_INSTRUCTION_OLD');
    given(...history)
      .when(claim)
      .thenRejected('RUN_INSTRUCTION_OLD');
    given(...history)
      .when({ ...claim, commandId: nextCommand } as never)
      .then(claimed(2));
  });

  test('has all attempts of its own', () => {
    const history = [created({ maxAttempts: 1 }), claimed(), started(), told('turn'), turnOver, claimed(2)];
    given(...history)
      .when(expire(2))
      .thenLike({ next: 'failed' });
    const two = [created({ maxAttempts: 2 }), ...history.slice(1)];
    given(...two)
      .when(expire(2))
      .thenLike({ next: 'queued' });
  });

  test('is not done after one that failed: the run ends, and with it what is open', () => {
    given(...running, told('turn'))
      .when(finish(1, { outcome: 'failed' }))
      .thenLike({
        type: 'fleetlog.run.failed.v1',
        commandsClosed: [{ commandId: followUp, state: 'cancelled' }],
      });
  });

  test('is done after one that is blocked: it may say what is missing', () => {
    given(...running, told('turn'))
      .when(finish(1, { outcome: 'blocked' }))
      .thenLike({ type: 'fleetlog.run.turn-finished.v1' });
  });

  test('ST-T9 ST-23 can be taken back until it is the turn of the run', () => {
    given(...running, told('turn'))
      .when(takeBack(followUp))
      .then(takenBack(followUp));
    given(...running, told('turn'), takenBack(followUp))
      .when(takeBack(followUp))
      .thenUnchanged();
    given(...running, told('turn'), turnOver)
      .when(takeBack(followUp))
      .thenRejected('RUN_COMMAND_UNDER_WAY');
    given(...running)
      .when(takeBack(firstTurn))
      .thenRejected('RUN_COMMAND_UNDER_WAY');
    given(...running)
      .when(takeBack(followUp))
      .thenRejected('RUN_COMMAND_UNKNOWN');
    given(...running, told('turn'), takenBack(followUp))
      .when(finish())
      .then(completed);
  });
});

describe('an interrupt', () => {
  const interrupted = [...running, told('interrupt', { reason: 'wrong branch' })] as const;
  test('HR-T6 ends the turn, and the run where nothing more is to be done', () => {
    given(...interrupted)
      .when(finish(1, stopped))
      .then({
        type: 'fleetlog.run.cancelled.v1',
        ...end,
        reason: 'interrupted: wrong branch',
        result: result(stopped),
        commandsClosed: [{ commandId: interruptA, state: 'completed' }],
      });
  });

  test('goes on with the next turn where there is one', () => {
    const state = given(...interrupted, told('turn', { commandSeq: 3 }))
      .when(finish(1, stopped))
      .then(
        turnFinished({
          result: result(stopped),
          commandsClosed: [{ commandId: interruptA, state: 'completed' }],
        }),
      );
    expect(state?.commands.map(({ state: at }) => at)).toEqual(['cancelled', 'completed', 'pending']);
  });

  test('with words goes on with them first', () => {
    const words = told('interrupt', { text: 'use the other branch', commandSeq: 3 });
    given(...running, told('turn'), words)
      .when(finish(1, stopped))
      .then(turnFinished({ result: result(stopped), turnCommandId: interruptA }));
  });

  test('whose words are the next turn waits for a runner as any turn does, also when the last one has acknowledged it', () => {
    const words = told('interrupt', { text: 'use the other branch' });
    const history = [...running, words, acknowledged(interruptA)];
    given(...history)
      .when(finish(1, stopped))
      .thenLike({ turnCommandId: interruptA });
    const goesOn = turnFinished({ turnCommandId: interruptA });
    expect(stateOf(interruptA, ...history, goesOn)).toBe('pending');
    expect(stateOf(interruptA, ...history, goesOn, claimed(2))).toBe('acknowledged');
  });

  test('that comes as the turn ends by itself leaves the result as it is', () => {
    given(...interrupted)
      .when(finish())
      .then({ ...completed, commandsClosed: [{ commandId: interruptA, state: 'completed' }] } as RunEvent);
  });

  test('holds when its runner is lost: the turn is not tried again', () => {
    given(...interrupted)
      .when(expire())
      .thenLike({ next: 'cancelled', commandId: null });
    given(...interrupted, told('turn', { commandSeq: 3 }))
      .when(expire())
      .thenLike({ next: 'queued', turnCommandId: followUp, commandId: nextCommand });
    const lost = { kind: 'runner-lost', message: 'shut down' } as const;
    given(...interrupted)
      .when(finish(1, { outcome: 'failed', failure: lost }))
      .thenLike({ type: 'fleetlog.run.cancelled.v1' });
  });

  test('cannot be taken back, and is acknowledged by its runner', () => {
    given(...interrupted)
      .when(takeBack(interruptA))
      .thenRejected('RUN_COMMAND_UNDER_WAY');
    given(...interrupted)
      .when(acknowledge(interruptA))
      .then(acknowledged(interruptA));
    given(...interrupted)
      .when(refuse(interruptA, { state: 'completed', code: undefined }))
      .thenLike({ type: 'fleetlog.run.command-finished.v1', state: 'completed' });
  });

  test('is void for a later claim', () => {
    const later = [
      ...interrupted,
      told('turn', { commandSeq: 3 }),
      turnFinished(),
      claimed(2),
      started(2, turnB),
    ];
    given(...later)
      .when(finish(2, { outcome: 'failed' }, turnB))
      .thenLike({ type: 'fleetlog.run.failed.v1' });
  });
});
