// Tasks, dispatch and runs on a real broker: the way of a task to its end, its limits, its cancel and retry, and what two dispatchers,
// a runner that goes away and a dispatcher that is killed leave behind. Scripted runners do the work.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Ports } from '#libs/service/context.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { dispatch } from '#services/dispatch/service.ts';
import { runs } from '#services/runs/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { presenceKey, viewKey } from '#streams/buckets.ts';
import { DISPATCH_REQUESTS, type WaitingLine } from '#streams/dispatch-requests.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import type { MachineFacts } from '#streams/machine-facts.ts';
import { makeId } from '#streams/ids.ts';
import { requestSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { shown } from '#test/support/run-facts.ts';
import { ask, claimTurn, done, transition, turnInstruction } from '#test/support/scripted-runner.ts';
import { askForTask, askTasks, createTask, taskEvent, taskTypes } from '#test/support/task-facts.ts';
import { judgeTasks } from '#test/support/task-verdict.ts';

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;

/** An agent of one test alone, whose runner is there until it is sent away. */
const runner = async (
  ports: Ports,
  agent: string,
  more: {
    slots?: number;
    labels?: string[];
    account?: string;
    machine?: MachineFacts;
    startedAt?: number;
  } = {},
): Promise<void> => {
  const facts = { providers: ['exec' as const], version: '1', startedAt: 1, buffered: 0, ...more };
  await ask(ports, 'announce', { runnerId: `${agent}-r`, ...facts, ttlMs: 600_000 }, agent);
};
const sendAway = (ports: Ports, agent: string) =>
  ports.bucket('presence').put(presenceKey(BOUNDARY, agent), jsonBytes({}), { ttlMs: 1000 });

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, ['b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7', 'b8', 'b9', 'b10']);
  const services = [runs, tasks, dispatch];
  const config = {
    dispatch: { recallAfterMs: 100, queueLimits: ['narrow=1'], hostLimits: ['small=1'] },
  };
  one = await startControlPlane({ broker, services, config });
  two = await startControlPlane({ broker, services, config });
});
afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

/** Resolves when dispatch says this of the first line of the queue. */
const waits = async (ports: Ports, queue: string, expected: Partial<WaitingLine>): Promise<void> => {
  const subject = requestSubject(BOUNDARY, 'dispatch', 'explain');
  await vi.waitFor(async () => {
    const { body } = await ports.requests.client.request(subject, jsonBytes({ queue }), { timeoutMs: 5000 });
    const answer = DISPATCH_REQUESTS.explain.answer.parse(parseJson(body));
    expect(answer.outcome === 'ok' ? answer.result.lines[0] : answer).toMatchObject(expected);
  }, 30_000);
};

test('HR-10 ST-49 ST-T16 a task goes to a free runner, and ends as its run does', async () => {
  const { ports } = one;
  const taskId = await createTask(ports, { agent: 'b1', title: 'Count' });
  await runner(ports, 'b1');
  const { runId, attempt } = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1');
  expect(attempt).toBe(1);
  const instruction = await turnInstruction(ports, runId);
  expect(instruction.agent).toBe('b1');
  const turn = await claimTurn(ports, instruction);
  await taskEvent(ports, taskId, 'fleetlog.task.started.v1');
  await turn.started();
  await turn.finished();
  const { seq } = await taskEvent(ports, taskId, 'fleetlog.task.completed.v1');
  const view = await shown(ports, { bucket: 'tasks', key: viewKey(BOUNDARY, taskId) }, seq);
  expect(view).toMatchObject({
    state: 'completed',
    summary: done.summary,
    attempts: [{ attempt: 1, runId, agent: 'b1', outcome: 'completed' }],
  });
  expect(await taskTypes(ports, taskId)).toEqual(['created', 'assigned', 'started', 'completed']);
});

test('ST-49 ER-04 the same order again is the same task, another one under its id is refused', async () => {
  const { ports } = two;
  const taskId = makeId('task', systemIds.ulid());
  await createTask(ports, { taskId, agent: 'nobody' });
  const again = await askForTask(ports, { taskId, agent: 'nobody' });
  expect(again).toMatchObject({ outcome: 'ok', result: { taskId, repeated: true } });
  for (const changes of [{ queue: 'other' }, { priority: 3 }, { labels: ['gpu'] }, { metadata: { a: 'b' } }])
    expect(await askForTask(ports, { taskId, agent: 'nobody', ...changes })).toMatchObject({
      outcome: 'refused',
      code: 'TASK_CONFLICTING_REQUEST',
    });
  expect(await taskTypes(ports, taskId)).toEqual(['created']);
});

test('ST-53 ST-T18 WK-58 cancelling a task ends its run, and the task when the run has ended', async () => {
  const { ports } = one;
  await runner(ports, 'b2');
  const taskId = await createTask(ports, { agent: 'b2' });
  const { runId } = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1');
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  await taskEvent(ports, taskId, 'fleetlog.task.started.v1');
  const request = { taskId, requestId: 'c1', reason: 'not needed', actor: 'user:test' };
  expect(await askTasks(ports, 'cancel', request)).toMatchObject({ result: { state: 'cancelling' } });
  await transition(ports, runId, 'fleetlog.run.cancel-requested.v1');
  await turn.finished({ ...done, outcome: 'cancelled' });
  const cancelled = await taskEvent(ports, taskId, 'fleetlog.task.cancelled.v1');
  expect(cancelled).toMatchObject({
    reason: 'not needed',
    last: { attempt: 1, runId, outcome: 'cancelled' },
  });
  expect(await askTasks(ports, 'cancel', request)).toMatchObject({ result: { state: 'cancelled' } });
  // Waiting again, it is cancelled at once.
  const retry = { taskId, requestId: 'r1', actor: 'user:test' };
  await sendAway(ports, 'b2');
  await askTasks(ports, 'retry', retry);
  expect(await taskTypes(ports, taskId)).toContain('retried');
});

test('HR-13 HR-14 HR-16 HR-18 HR-T2 HR-T3 WK-31 WK-32 a queue that takes one lets them go one after another: by priority, then first come', async () => {
  const { ports } = two;
  const order = { queue: 'narrow', agent: 'b3' };
  const low = await createTask(ports, order);
  const second = await createTask(ports, order);
  const high = await createTask(ports, { ...order, priority: 5 });
  // Who is there and what waits is told apart: each dispatcher is to know all three before there is a runner.
  for (const plane of [one, two])
    await waits(plane.ports, 'narrow', { reason: 'no-runner', taskId: high, waiting: 3 });
  await runner(ports, 'b3', { slots: 10 });
  for (const taskId of [high, low, second]) {
    const { runId } = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1');
    const turn = await claimTurn(ports, await turnInstruction(ports, runId));
    await turn.finished();
    await taskEvent(ports, taskId, 'fleetlog.task.completed.v1');
  }
});

test('WK-79 what a runner that goes away has not begun goes to another, and is done once', async () => {
  const { ports } = one;
  await runner(ports, 'b4', { labels: ['roam'] });
  const taskId = await createTask(ports, { labels: ['roam'] });
  const first = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1');
  expect(first.agent).toBe('b4');
  await sendAway(ports, 'b4');
  await transition(ports, first.runId, 'fleetlog.run.cancelled.v1');
  await taskEvent(ports, taskId, 'fleetlog.task.requeued.v1');
  await runner(ports, 'b5', { labels: ['roam', 'more'] });
  const next = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1', 2);
  expect(next.agent).toBe('b5');
  const turn = await claimTurn(ports, await turnInstruction(ports, next.runId));
  // Two instances take the news of runs: that of the claim may come after that of the end.
  await taskEvent(ports, taskId, 'fleetlog.task.started.v1');
  await turn.finished();
  await taskEvent(ports, taskId, 'fleetlog.task.completed.v1');
  expect(await taskTypes(ports, taskId)).toEqual([
    'created',
    'assigned',
    'recalled',
    'requeued',
    'assigned',
    'started',
    'completed',
  ]);
  await sendAway(ports, 'b5');
});

test('WK-30 WK-31 two dispatchers hand many tasks to few slots: each once, never more than fit', async () => {
  const { ports } = one;
  await runner(ports, 'b6', { slots: 3 });
  const taskIds = await Promise.all(
    Array.from({ length: 30 }, (_, at) => createTask((at % 2 === 0 ? one : two).ports, { agent: 'b6' })),
  );
  const work = taskIds.map(async (taskId) => {
    const { runId } = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1');
    const turn = await claimTurn(ports, await turnInstruction(ports, runId));
    await turn.finished();
    await taskEvent(ports, taskId, 'fleetlog.task.completed.v1');
  });
  await Promise.all(work);
  const { faults } = await judgeTasks(ports, {
    limits: { fleet: 1000, queues: { narrow: 1 }, agents: { b6: 3, b3: 10 } },
    withoutSummaries: true,
  });
  expect(faults).toEqual([]);
  expect([...one.fatal, ...two.fatal]).toEqual([]);
});

const GIB = 1024 ** 3;

test('WK-30 a machine takes no more tasks than it has room for, and dispatch says what they wait for', async () => {
  const { ports } = two;
  const order = { queue: 'hosts', agent: 'b7' };
  const machine = { name: 'small', freeMemoryBytes: 0, freeDiskBytes: 9 * GIB };
  const first = await createTask(ports, order);
  const second = await createTask(ports, order);
  await waits(ports, 'hosts', { reason: 'no-runner', taskId: first, waiting: 2 });
  await runner(ports, 'b7', { slots: 5, machine });
  await waits(ports, 'hosts', { reason: 'host-memory', taskId: first });
  // Memory is free again, as its runner says.
  await runner(ports, 'b7', { slots: 5, machine: { ...machine, freeMemoryBytes: 9 * GIB } });
  const { runId } = await taskEvent(ports, first, 'fleetlog.task.assigned.v1');
  await waits(ports, 'hosts', { reason: 'host-limit', taskId: second, waiting: 1 });
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  await turn.finished();
  await taskEvent(ports, second, 'fleetlog.task.assigned.v1');
  await sendAway(ports, 'b7');
});

test('what an unfit runner could not begin waits, with the reason, until another process is there', async () => {
  const { ports } = one;
  await runner(ports, 'b10');
  const taskId = await createTask(ports, { queue: 'unfit', agent: 'b10', maxAttempts: 1 });
  const { runId } = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1');
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  const failure = { kind: 'infra-failed', message: 'no room', unfit: true } as const;
  await turn.finished({ ...done, outcome: 'failed', failure });
  await waits(ports, 'unfit', { reason: 'runner-unfit', taskId });
  await runner(ports, 'b10', { startedAt: 2 });
  expect(await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1', 2)).toMatchObject({ agent: 'b10' });
  expect(await taskEvent(ports, taskId, 'fleetlog.task.requeued.v1')).toMatchObject({ failure });
});

test('a used-up quota pauses its provider for everybody on the account, its work waits, and goes on elsewhere', async () => {
  const { ports } = one;
  await runner(ports, 'b8', { slots: 5, account: 'team' });
  const taskId = await createTask(ports, { queue: 'quota', agent: 'b8', maxAttempts: 1 });
  const { runId } = await taskEvent(ports, taskId, 'fleetlog.task.assigned.v1');
  const turn = await claimTurn(ports, await turnInstruction(ports, runId));
  const retryAt = systemClock.now() + 3_600_000;
  const failure = { kind: 'provider-limited', message: 'usage limit reached', retryAt } as const;
  await turn.finished({ ...done, outcome: 'failed', failure });
  expect(await taskEvent(ports, taskId, 'fleetlog.task.requeued.v1')).toMatchObject({ failure });
  await waits(ports, 'quota', { reason: 'provider-paused', taskId, untilMs: retryAt });
  const free = await createTask(ports, { queue: 'quota-2', labels: ['quota'] });
  await runner(ports, 'b9', { account: 'team', labels: ['quota'] });
  await waits(ports, 'quota-2', { reason: 'provider-paused', taskId: free });
  await runner(ports, 'b9', { account: 'own', labels: ['quota'] });
  expect(await taskEvent(ports, free, 'fleetlog.task.assigned.v1')).toMatchObject({ agent: 'b9' });
  // A dispatcher that starts now knows it from the summaries.
  const third = await startControlPlane({ broker, services: [dispatch] });
  await Promise.all([one, two].map((plane) => plane.stop()));
  await waits(third.ports, 'quota', { reason: 'provider-paused', taskId, untilMs: retryAt });
  await third.stop();
});
