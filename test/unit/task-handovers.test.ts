// Handing over and beginning attempts, in memory: the fence between dispatchers, tasks that have moved or cannot be read, runs that cannot be.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { Hall, type HallParts } from '#services/dispatch/hall.ts';
import { Board } from '#services/dispatch/board.policy.ts';
import { createAssign } from '#services/tasks/assignments.ts';
import { createAttempts, decodeAttemptTransition } from '#services/tasks/attempts.ts';
import { createRunNews, decodeRunNews, type RunNews } from '#services/tasks/run-news.ts';
import { createSingleGrants } from '#services/tasks/single-grant.ts';
import { createTaskLog } from '#services/tasks/task-log.ts';
import { jsonBytes } from '#streams/entry.ts';
import { encodeRunEvent } from '#streams/run-codec.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import type { TaskEvent } from '#streams/task.ts';
import { BOUNDARY } from '#test/support/control-plane.ts';
import {
  claimed as runClaimed,
  completed as runCompleted,
  created as runCreated,
} from '#test/support/run-history.ts';
import { first, handOverWorld, second, ULID } from '#test/support/hand-over-world.ts';
import { createData } from '#test/support/task-history.ts';

describe('a hand-over', () => {
  test('WK-31 is refused for whoever has not seen the last grant, and changes nothing then', async () => {
    const { create, ask, history } = handOverWorld();
    await create(first);
    await create(second);
    const granted = await ask([first], 0);
    expect(granted).toEqual({ kind: 'ok', result: { granted: [first], upToSeq: 4 } });
    expect(await ask([second], 0, 'late')).toMatchObject({
      kind: 'refused',
      rejection: { code: 'ADMISSION_SUPERSEDED', detail: { actualSeq: 3 } },
    });
    expect(await history(second)).toEqual(['created']);
    expect(await ask([second], 3)).toMatchObject({ kind: 'ok', result: { granted: [second] } });
  });

  test('that comes again, also twice in itself, hands nothing over twice', async () => {
    const { create, ask, history } = handOverWorld();
    await create(first);
    expect(await ask([first, first], 0)).toMatchObject({ result: { granted: [first] } });
    expect(await ask([first], 0)).toMatchObject({ kind: 'ok', result: { granted: [], upToSeq: 3 } });
    expect(await history(first)).toEqual(['created', 'assigned']);
  });

  test('WK-31 of one task by two dispatchers at once, by whichever instances, is made by one of them and no fault to the other', async () => {
    const { create, ask, history, log, clock, ids } = handOverWorld();
    await create(first);
    await create(second);
    // Another instance, which remembers the tasks as they were.
    const theirs = createTaskLog({ log, clock, ids });
    for (const taskId of [first, second])
      await theirs.load({ boundary: BOUNDARY, taskId, actor: 'user:test' });
    const parts = { taskLog: theirs, log, clock };
    const other = createAssign({ ...parts, singles: createSingleGrants(parts) });
    const grants = [first, second].map((taskId) => ({ taskId, attempt: 1, agent: 'a1' }));
    const askOther = (grantId: string) =>
      other(BOUNDARY, { grantId, expectedSeq: 0, dispatcher: 'd2', grants });
    const both = await Promise.all([ask([first], 0, 'one'), ask([first], 0, 'two'), askOther('three')]);
    expect(
      both.map((answer) => (answer.kind === 'ok' ? answer.result.granted : answer.rejection.code)),
    ).toEqual([[first], 'ADMISSION_SUPERSEDED', 'ADMISSION_SUPERSEDED']);
    expect(await history(first)).toEqual(['created', 'assigned']);
    expect(await history(second)).toEqual(['created']);
    expect(await askOther('four')).toMatchObject({ rejection: { code: 'ADMISSION_SUPERSEDED' } });
  });

  test('leaves out what waits no more and what cannot be read, and hands over the rest', async () => {
    const { create, ask, spoil, taskLog, history } = handOverWorld();
    for (const taskId of [first, second]) await create(taskId);
    const third = `tsk_${ULID}3`;
    await create(third);
    await spoil(first);
    const target = { boundary: BOUNDARY, taskId: second, actor: 'user:test' };
    await taskLog.handle(target, { kind: 'cancel', reason: 'no' }, { id: 'c' });
    expect(await ask([first, second, third], 0)).toMatchObject({ kind: 'ok', result: { granted: [third] } });
    expect(await history(second)).toEqual(['created', 'cancelled']);
  });
});

test('a task that cannot be handed over is set aside, and holds up nobody', async () => {
  const { clock, ids } = handOverWorld();
  const board = new Board();
  board.applyTask({ type: 'fleetlog.task.created.v1', ...createData({ taskId: first }), createdAt: 1 }, 1);
  board.applyTask({ type: 'fleetlog.task.created.v1', ...createData({ taskId: second }), createdAt: 1 }, 2);
  board.runners.present('a1', { providers: ['exec'], labels: [], slots: 1 });
  const asked: string[][] = [];
  const aside: string[] = [];
  const failures: unknown[] = [];
  const hall = new Hall({
    boundary: BOUNDARY,
    board,
    limits: { queues: new Map(), lanes: new Map(), agents: new Map(), providers: new Map() },
    dispatcher: 'd1',
    clock,
    ids,
    recallAfterMs: 1000,
    reached: () => Promise.resolve(),
    signal: new AbortController().signal,
    onSetAside: (taskId) => void aside.push(taskId),
    onTrouble: () => undefined,
    onFailure: (error) => void failures.push(error),
    ask: ((_boundary, _operation, request) => {
      const taskIds = 'grants' in request ? request.grants.map(({ taskId }) => taskId) : [];
      asked.push(taskIds);
      // The first cannot be read; the second goes, and takes the only slot.
      if (taskIds.includes(second)) {
        const about = { taskId: second, queue: 'fix', attempt: 1, runId: `run_${ULID}1` };
        const event = { ...about, sessionId: `ses_${ULID}1`, agent: 'a1', assignedAt: 1 };
        board.applyTask({ type: 'fleetlog.task.assigned.v1', ...event } satisfies TaskEvent, 3);
      }
      const granted = taskIds.filter((taskId) => taskId === second);
      return Promise.resolve({ outcome: 'ok', result: { granted, upToSeq: 3 } });
    }) as HallParts['ask'],
  });
  hall.wake();
  await clock.settle();
  expect(asked).toEqual([[first], [second]]);
  expect(aside).toEqual([first]);
  expect([...board.active()].map(({ task }) => task.taskId)).toEqual([second]);
  expect(failures).toEqual([]);
});

describe('the run of an attempt', () => {
  const attemptsWith = async (answer: unknown) => {
    const { create, ask, log, taskLog, clock, history } = handOverWorld();
    await create(first);
    await ask([first], 0);
    const requests: RequestClient = {
      request: () => Promise.resolve({ headers: {}, body: jsonBytes(answer) }),
    };
    const attempts = createAttempts({ taskLog, requests, timeoutMs: 1000, clock });
    const entry = await log.last(aggregateSubject(BOUNDARY, 'task', first));
    const transition = entry === undefined ? undefined : decodeAttemptTransition(entry);
    if (transition === undefined) return expect.unreachable();
    const handle = () => attempts.handle(transition);
    return {
      handle,
      history: () => history(first),
      state: () => taskLog.load({ boundary: BOUNDARY, taskId: first, actor: 'x' }),
    };
  };

  test('that its owner will never take ends the attempt, and the task fails with the reason', async () => {
    for (const answer of [
      { outcome: 'refused', code: 'RUN_CONFLICTING_REQUEST', message: 'other', detail: {} },
      { outcome: 'fault', code: 'REQUEST_INVALID', message: 'bad', retry: 'never' },
    ]) {
      const { handle, history, state } = await attemptsWith(answer);
      await handle();
      expect(await history()).toEqual(['created', 'assigned', 'failed']);
      // Delivered again it is nobody's business any more.
      await handle();
      expect((await state()).state?.attempts).toMatchObject([{ outcome: 'failed' }]);
    }
  });

  test('that its owner cannot take now is asked for again, and nothing is decided', async () => {
    const { handle, history } = await attemptsWith({
      outcome: 'fault',
      code: 'LOG_UNAVAILABLE',
      message: 'away',
      retry: 'later',
    });
    await expect(handle()).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE', retry: 'later' });
    await expect(handle()).rejects.toBeInstanceOf(Fault);
    expect(await history()).toEqual(['created', 'assigned']);
  });
});

test('WK-79 an attempt whose end is told before its start is on record with both, whoever tells of the start then', async () => {
  const { create, ask, history, log, taskLog, clock, ids } = handOverWorld();
  await create(first);
  await ask([first], 0);
  const { state } = await taskLog.load({ boundary: BOUNDARY, taskId: first, actor: 'user:test' });
  const runId = state?.attempts[0]?.runId ?? '';
  const about = { boundary: BOUNDARY, source: '/service/runs', actor: 'agent:a1', timeMs: clock.now() };
  const events = [runCreated({ runId, task: { taskId: first, attempt: 1 } }), runClaimed(), runCompleted];
  for (const [at, event] of events.entries()) {
    const entry = encodeRunEvent({ ...event, runId }, { ...about, id: `${runId}.${at}` });
    const last = await log.last(entry.subject);
    await log.append({ ...entry, expectedSeq: last?.seq ?? 0 });
  }
  const news: RunNews[] = [];
  for await (const entry of log.read(aggregateSubject(BOUNDARY, 'run', runId)))
    news.push(...[decodeRunNews(entry)].filter((one) => one !== undefined));
  const [, claim, end] = news;
  if (claim === undefined || end === undefined) throw new Error('no news');
  // Two instances: one has the end in hand, the other the claim.
  const another = createRunNews({ taskLog: createTaskLog({ log, clock, ids }), log });
  await createRunNews({ taskLog, log }).handle(end);
  expect(await history(first)).toEqual(['created', 'assigned', 'started', 'completed']);
  await another.handle(claim);
  await another.handle(end);
  expect(await history(first)).toEqual(['created', 'assigned', 'started', 'completed']);
});
