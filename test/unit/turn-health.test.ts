// What shows that a turn does not go on (IM-10), from what is on record about it, and the looking itself on logs in memory.
import { describe, expect, test } from 'vitest';
import { silentAtOf, stuckTurn, type OpenTurn } from '#services/lifecycle/turn-health.policy.ts';

const turn: OpenTurn = {
  runId: 'run_1',
  turnId: 'trn_1',
  startedAt: 0,
  lastAt: 10_000,
  asks: null,
  calls: null,
};
const health = { stuckAfterSeconds: 60, sameCalls: 3 };

describe('IM-10 a turn', () => {
  test('is silent when its program was not heard of for as long as its policy says, and not before', () => {
    expect(stuckTurn(turn, health, 69_999)).toBeNull();
    expect(stuckTurn(turn, health, 70_000)).toEqual({
      kind: 'silent',
      runId: 'run_1',
      turnId: 'trn_1',
      sinceAt: 10_000,
      detail: 'nothing was heard of turn trn_1 for 60 s',
    });
    expect(stuckTurn(turn, { stuckAfterSeconds: 0, sameCalls: 0 }, 1e9)).toBeNull();
    expect(silentAtOf(turn, health)).toBe(70_000);
    expect(silentAtOf(turn, { ...health, stuckAfterSeconds: 0 })).toBeUndefined();
  });
  test('that waits for a person is not silent, and is said to wait once that is long', () => {
    const asks = { tool: 'Bash', askedAt: 100_000 };
    expect(stuckTurn({ ...turn, asks }, health, 150_000)).toBeNull();
    expect(stuckTurn({ ...turn, asks }, health, 160_000)).toMatchObject({
      kind: 'waiting',
      sinceAt: 100_000,
    });
    expect(silentAtOf({ ...turn, asks }, health)).toBe(160_000);
  });
  test('loops when it made the same call as often in a row as its policy says', () => {
    const calls = { tool: 'Read', count: 2, sinceAt: 9000 };
    expect(stuckTurn({ ...turn, calls }, health, 11_000)).toBeNull();
    const looping = { ...turn, calls: { ...calls, count: 3 } };
    expect(stuckTurn(looping, health, 11_000)).toMatchObject({ kind: 'looping', sinceAt: 9000 });
    expect(stuckTurn(looping, { ...health, sameCalls: 0 }, 11_000)).toBeNull();
  });
});
