// Commands inside a run: who may tell it what, what its runner's reports mean, and what becomes of them when a turn or the run ends.
import { describe, expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { COMMANDS_LIMIT, OPEN_COMMANDS_LIMIT } from '#streams/commands.ts';
import type { RunEvent } from '#streams/run.ts';
import {
  acknowledge,
  acknowledged,
  followUp,
  refuse,
  refused,
  steerA,
  takeBack,
  takenBack,
  tell,
  told,
  turnFinished,
} from '#test/support/command-history.ts';
import {
  cancel,
  cancelRequested,
  claimed,
  completed,
  created,
  expired,
  finish,
  given,
  start,
  started,
} from '#test/support/run-history.ts';

const running = [created(), claimed(), started()] as const;
const stopped = { outcome: 'cancelled', exitCode: null, signal: 'SIGTERM' } as const;
const stateOf = (commandId: string, ...history: RunEvent[]): string | undefined =>
  fold(runDecider, history)?.commands.find((command) => command.commandId === commandId)?.state;

describe('telling a run something', () => {
  test('ST-T6 ST-17 ST-19 numbers its commands from the first turn on', () => {
    const state = given(created()).when(tell('turn')).then(told('turn'));
    expect(state?.commands.map(({ seq, state: at }) => [seq, at])).toEqual([
      [1, 'pending'],
      [2, 'pending'],
    ]);
    given(created(), told('turn')).when(tell('steer')).thenLike({ commandSeq: 3 });
  });

  test('ST-16 WK-53 the same key with the same content is the first command, also after the end; with other content it is refused', () => {
    const keyed = { key: 'k-1' };
    const ended = [...running, told('turn', keyed), cancelRequested];
    for (const history of [[created(), told('turn', keyed)], ended]) {
      given(...history)
        .when(tell('turn', { ...keyed, commandId: steerA }))
        .thenUnchanged();
      given(...history)
        .when(tell('turn', { ...keyed, hash: 'f'.repeat(64) }))
        .thenRejected('RUN_COMMAND_CONFLICTING');
      // The type is part of what is compared.
      given(...history)
        .when(tell('steer', keyed))
        .thenRejected('RUN_COMMAND_CONFLICTING');
    }
    const over = { ...completed, commandsClosed: [{ commandId: followUp, state: 'cancelled' }] } as RunEvent;
    given(...running, told('turn', keyed), over)
      .when(tell('turn', keyed))
      .thenUnchanged();
  });

  test('ST-15 a new command after the end is refused', () => {
    given(...running, completed)
      .when(tell('turn'))
      .thenRejected('RUN_ENDED');
    given(...running, cancelRequested)
      .when(tell('steer'))
      .thenRejected('RUN_CANCELLED');
  });

  test('words wait for the turn to begin, and are told to the one that runs', () => {
    given(created()).when(tell('steer')).thenLike({ fence: null });
    given(created(), claimed()).when(tell('steer')).thenLike({ fence: null });
    given(...running)
      .when(tell('steer'))
      .then(told('steer'));
    given(created(), told('steer', { fence: null }), claimed())
      .when(start())
      .thenLike({ commandIds: [steerA] });
  });

  test('an interrupt needs a turn that runs', () => {
    given(created()).when(tell('interrupt')).thenRejected('RUN_NOT_RUNNING');
    given(created(), claimed()).when(tell('interrupt')).then(told('interrupt'));
    given(...running)
      .when(tell('interrupt'))
      .then(told('interrupt'));
  });

  test('a run takes a limited number of commands', () => {
    const many = (count: number, state: 'open' | 'done'): RunEvent[] =>
      Array.from({ length: count }, (_, at) => {
        const commandId = `cmd_${String(at).padStart(26, '0')}`;
        const made = told('turn', { commandId, commandSeq: at + 2 });
        return state === 'open' ? [made] : [made, takenBack(commandId)];
      }).flat();
    given(created(), ...many(OPEN_COMMANDS_LIMIT - 1, 'open'))
      .when(tell('turn'))
      .thenRejected('RUN_COMMANDS_FULL');
    given(created(), ...many(COMMANDS_LIMIT - 1, 'done'))
      .when(tell('turn'))
      .thenRejected('RUN_COMMANDS_FULL');
    given(created(), ...many(COMMANDS_LIMIT - 2, 'done'))
      .when(tell('turn'))
      .thenLike({ commandType: 'turn' });
  });
});

describe('words', () => {
  test('ST-21 ST-T7 are acknowledged once, under the fence that holds the run', () => {
    given(...running, told('steer'))
      .when(acknowledge(steerA))
      .then(acknowledged(steerA));
    given(...running, told('steer'), acknowledged(steerA))
      .when(acknowledge(steerA))
      .thenUnchanged();
    given(...running, told('steer'))
      .when(acknowledge(steerA, 2))
      .thenRejected('RUN_FENCED');
    given(...running)
      .when(acknowledge(steerA))
      .thenRejected('RUN_COMMAND_UNKNOWN');
  });

  test('are done when the turn that had them is', () => {
    given(...running, told('steer'), acknowledged(steerA))
      .when(finish())
      .then({ ...completed, commandsClosed: [{ commandId: steerA, state: 'completed' }] } as RunEvent);
  });

  test('that the program cannot take are the next turn', () => {
    const deferred = given(...running, told('steer'))
      .when(refuse(steerA))
      .then(refused(steerA));
    expect(deferred?.commands.at(-1)).toMatchObject({ state: 'pending', isDeferred: true });
    given(...running, told('steer'), refused(steerA))
      .when(finish())
      .then(turnFinished({ turnCommandId: steerA }));
    // It has been given them, and ended without having taken them up.
    given(...running, told('steer'), acknowledged(steerA))
      .when(refuse(steerA))
      .then(refused(steerA));
    given(...running, told('steer'), refused(steerA))
      .when(takeBack(steerA))
      .then(takenBack(steerA));
  });

  test('ST-22 ST-T8 that may not wait fail with the reason', () => {
    const only = told('steer', { otherwise: 'fail' });
    given(...running, only)
      .when(refuse(steerA))
      .then(refused(steerA, { state: 'failed' }));
    given(...running, only, refused(steerA, { state: 'failed' }))
      .when(refuse(steerA))
      .thenUnchanged();
    given(...running, only)
      .when(finish())
      .thenLike({ commandsClosed: [{ commandId: steerA, state: 'cancelled' }] });
    given(...running, only, told('turn', { commandSeq: 3 }))
      .when(finish())
      .thenLike({ commandsClosed: [{ commandId: steerA, state: 'failed' }] });
  });

  test('that were under way when the turn ended by itself are the next turn', () => {
    given(...running, told('steer'))
      .when(finish())
      .then(turnFinished({ turnCommandId: steerA }));
  });

  test('to a claim that was lost are told anew to the next', () => {
    const lost = [...running, told('steer'), acknowledged(steerA), expired(1, 'queued'), claimed(2)];
    expect(stateOf(steerA, ...lost)).toBe('pending');
    given(...lost)
      .when(start(2))
      .thenLike({ commandIds: [steerA] });
  });

  test('cannot be taken back once a runner has been told', () => {
    given(...running, told('steer'))
      .when(takeBack(steerA))
      .thenRejected('RUN_COMMAND_UNDER_WAY');
    given(created(), told('steer', { fence: null }))
      .when(takeBack(steerA))
      .then(takenBack(steerA));
  });
});

describe('cancelling the run', () => {
  test('WK-45 WK-56 ST-14 closes what is open in the same append', () => {
    given(created(), told('turn'))
      .when(cancel)
      .thenLike({
        type: 'fleetlog.run.cancelled.v1',
        commandsClosed: [{ commandId: followUp, state: 'cancelled' }],
      });
    const history = [...running, told('turn'), told('steer', { commandSeq: 3 }), cancelRequested];
    const closed = given(...history)
      .when(finish(1, stopped))
      .thenLike({
        type: 'fleetlog.run.cancelled.v1',
        commandsClosed: [
          { commandId: followUp, state: 'cancelled' },
          { commandId: steerA, state: 'cancelled' },
        ],
      });
    expect(closed?.commands.map(({ state }) => state)).toEqual(['cancelled', 'cancelled', 'cancelled']);
  });

  test('reports about a turn as a command are refused, and those of closed ones change nothing', () => {
    given(...running, told('turn'))
      .when(acknowledge(followUp))
      .thenRejected('RUN_COMMAND_NOT_DUE');
    given(...running, told('turn'))
      .when(refuse(followUp))
      .thenRejected('RUN_COMMAND_NOT_DUE');
    given(...running, told('turn'), takenBack(followUp))
      .when(acknowledge(followUp))
      .thenUnchanged();
  });
});
