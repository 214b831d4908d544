// Why tasks wait, in words; the room of machines; and providers whose quota is used up.
import { describe, expect, test } from 'vitest';
import { Board } from '#services/dispatch/board.policy.ts';
import { decideGrants } from '#services/dispatch/dispatch.policy.ts';
import type { Limits } from '#services/dispatch/limits.policy.ts';
import type { RunnerFacts } from '#services/dispatch/runners.policy.ts';
import { explainWaiting } from '#services/dispatch/why.policy.ts';
import { RUN_EXAMPLES } from '#streams/generate-examples.ts';
import type { RunEvent } from '#streams/run.ts';
import { createData } from '#test/support/task-history.ts';

const GIB = 1024 ** 3;
const none: Limits = { queues: new Map(), lanes: new Map(), agents: new Map(), providers: new Map() };
const taskId = (number: number): string => `tsk_01HF3Z000000000000000000${String(number).padStart(2, '0')}`;
const runId = (number: number): string => `run_01HF3Z000000000000000000${String(number).padStart(2, '0')}`;

const host = (name: string, freeMemoryBytes = 8 * GIB, freeDiskBytes = 8 * GIB) => ({
  name,
  freeMemoryBytes,
  freeDiskBytes,
});
const facts = (more: Partial<RunnerFacts> = {}): RunnerFacts => ({
  providers: ['exec', 'claude'],
  labels: [],
  slots: 1,
  ...more,
});

/** A board on which this many tasks wait. */
const waiting = (count: number, changes: Parameters<typeof createData>[0] = {}): Board => {
  const board = new Board();
  for (let at = 1; at <= count; at += 1) {
    const data = createData({ ...changes, taskId: taskId(at) });
    board.applyTask({ type: 'fleetlog.task.created.v1', ...data, createdAt: 1 }, at);
  }
  return board;
};
const why = (board: Board, limits: Limits = none) => explainWaiting(board, limits)[0];
const grants = (board: Board, limits: Limits = none): readonly string[] =>
  decideGrants(board, limits, 100).map(({ agent }) => agent);

describe('why a task waits', () => {
  test('nobody who is there can do it', () => {
    expect(why(waiting(2, { labels: ['gpu'] }))).toMatchObject({
      taskId: taskId(1),
      waiting: 2,
      reason: 'no-runner',
      because: 'a runner with provider exec and labels gpu is not there',
      untilMs: null,
    });
    const board = waiting(1, { agent: 'b1' });
    board.runners.present('a1', facts());
    expect(why(board)?.because).toBe('the runner of b1 with provider exec is not there');
  });

  test('every slot is taken, or an agent is at its limit; who is free is named', () => {
    const board = waiting(1);
    board.runners.present('a1', facts());
    expect(why(board)).toMatchObject({ reason: 'going', because: 'a1 is free for it' });
    board.runners.take('a1', runId(1));
    board.runners.present('a2', facts({ slots: 2 }));
    const limits = { ...none, agents: new Map([['a2', 0]]) };
    expect(why(board, limits)).toMatchObject({
      reason: 'slots',
      because: 'every slot is taken (a1); the limit of the agent is reached (a2)',
    });
  });

  test('a limit is reached, or pauses what it names', () => {
    const board = waiting(1, { queue: 'fix' });
    board.runners.present('a1', facts());
    board.usage.add({ queue: 'fix', lane: 'main', provider: 'exec' }, 1);
    expect(why(board, { ...none, queues: new Map([['fix', 1]]) })).toMatchObject({
      reason: 'queue-limit',
      because: 'queue fix has 1 under way, which is its limit',
    });
    expect(why(board, { ...none, providers: new Map([['exec', 0]]) })).toMatchObject({
      reason: 'provider-limit',
      because: 'provider exec is paused (limit 0)',
    });
  });

  test('lines are told in the order in which they go, and of one queue when asked so', () => {
    const board = waiting(1, { queue: 'fix' });
    const data = createData({ taskId: taskId(9), queue: 'docs', priority: 5 });
    board.applyTask({ type: 'fleetlog.task.created.v1', ...data, createdAt: 1 }, 9);
    expect(explainWaiting(board, none).map(({ queue }) => queue)).toEqual(['docs', 'fix']);
    expect(explainWaiting(board, none, 'fix').map(({ queue }) => queue)).toEqual(['fix']);
  });
});

describe('the room of a machine', () => {
  test('its limit holds over all runners there, whoever caused their runs', () => {
    const board = waiting(5);
    board.runners.present('a1', facts({ slots: 4, host: host('box') }));
    board.runners.present('a2', facts({ slots: 4, host: host('box') }));
    board.runners.take('a1', runId(1));
    const limits = { ...none, eachHost: 3 };
    expect(grants(board, limits)).toHaveLength(2);
    expect(grants(board, { ...none, eachHost: 3, hosts: new Map([['box', 1]]) })).toEqual([]);
    expect(why(board, { ...none, hosts: new Map([['box', 1]]) })?.reason).toBe('host-limit');
    board.runners.present('b1', facts({ slots: 4, host: host('other') }));
    expect(grants(board, limits)).toHaveLength(5);
  });

  test('what is given is counted as memory until a measurement shows it', () => {
    const board = waiting(9);
    const limits = { ...none, hostMemoryFloorBytes: GIB, taskMemoryBytes: GIB };
    board.runners.present('a1', facts({ slots: 9, host: host('box', 4 * GIB) }));
    expect(grants(board, limits)).toHaveLength(3);
    for (const number of [1, 2, 3]) board.runners.take('a1', runId(number));
    expect(grants(board, limits)).toEqual([]);
    expect(why(board, limits)).toMatchObject({
      reason: 'host-memory',
      because: 'too little memory is free on the machine (a1)',
    });
    // They need less than was thought.
    board.runners.present('a1', facts({ slots: 9, host: host('box', 3 * GIB) }));
    expect(grants(board, limits)).toHaveLength(2);
  });

  test('a full disk takes nothing, and a machine that is not known takes what it did before', () => {
    const board = waiting(1);
    const limits = { ...none, hostDiskFloorBytes: GIB, hostMemoryFloorBytes: GIB };
    board.runners.present('a1', facts({ host: host('box', 8 * GIB, GIB - 1) }));
    expect(grants(board, limits)).toEqual([]);
    expect(why(board, limits)?.reason).toBe('host-disk');
    board.runners.present('a2', facts());
    expect(grants(board, limits)).toEqual(['a2']);
  });
});

const created = (agent: string, number: number): RunEvent => ({
  ...RUN_EXAMPLES['fleetlog.run.created.v1'],
  agent,
  provider: 'claude',
  runId: runId(number),
});
const limited = (number: number, retryAt: number): RunEvent => ({
  ...RUN_EXAMPLES['fleetlog.run.failed.v1'],
  runId: runId(number),
  failure: { kind: 'provider-limited', message: 'usage limit reached', retryAt },
});

describe('a used-up quota', () => {
  test('pauses that provider for that agent until it is whole again; others go on', () => {
    const board = waiting(1, { provider: 'claude' });
    const both = facts({ slots: 2 });
    board.runners.present('a1', both);
    board.applyRun(created('a1', 1));
    board.applyRun(limited(1, 5000));
    expect(grants(board)).toEqual([]);
    expect(why(board)).toMatchObject({ reason: 'provider-paused', untilMs: 5000 });
    const other = createData({ taskId: taskId(8), provider: 'exec' });
    board.applyTask({ type: 'fleetlog.task.created.v1', ...other, createdAt: 1 }, 8);
    expect(grants(board)).toEqual(['a1']);
    board.runners.present('a2', both);
    expect(grants(board)).toEqual(['a2', 'a1']);
    expect(board.runners.pauses.endDue(4999)).toBe(false);
    expect(board.runners.pauses.endDue(5000)).toBe(true);
    expect(board.runners.pauses.next()).toBeUndefined();
    expect(grants(board)).toHaveLength(2);
  });

  test('is that of everybody on the same account, also of one who comes later', () => {
    const board = waiting(1, { provider: 'claude' });
    board.runners.present('a1', facts({ account: 'team' }));
    board.applyRun(created('a1', 1));
    board.applyRun(limited(1, 5000));
    board.runners.present('a2', facts({ account: 'team' }));
    expect(grants(board)).toEqual([]);
    board.runners.present('a3', facts({ account: 'own' }));
    expect(grants(board)).toEqual(['a3']);
  });

  test('is known again from the summaries, and a longer pause is not shortened', () => {
    const board = waiting(1, { provider: 'claude' });
    board.runners.present('a1', facts());
    const run = { agent: 'a1', provider: 'claude' };
    board.noteFailure(run, { kind: 'provider-limited', message: 'x', retryAt: 9000 }, 1);
    board.noteFailure(run, { kind: 'provider-limited', message: 'x', retryAt: 100 }, 2);
    board.noteFailure(run, { kind: 'provider-failed', message: 'x' }, 3);
    expect(board.runners.pausedUntil('a1', 'claude')).toBe(9000);
    expect(board.runners.pausedUntil('a1', 'exec')).toBeUndefined();
  });
});
