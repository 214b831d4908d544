// Tasks over HTTP on a real broker: asked for, repeated, listed in their order, looked at with their place, cancelled, retried, counted.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { askTasks, taskEvent, taskTypes } from '#test/support/task-facts.ts';

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, ['builder-1', 'builder-2']);
  // Without dispatch: what waits goes on waiting until a test hands it over.
  plane = await startControlPlane({
    broker,
    services: [runs, sessions, tasks, gateway],
    config: { gateway: { port: 0, agents: ['builder-1', 'builder-2'] } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;
interface Task extends Json {
  readonly taskId: string;
  readonly seq: number;
}
const call = async (
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; body: Json; headers: Headers }> => {
  const response = await fetch(`${plane.url()}${path}`, init);
  return { status: response.status, body: (await response.json()) as Json, headers: response.headers };
};
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  call(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const create = async (body: Json = {}, headers: Record<string, string> = {}): Promise<Task> => {
  const answer = await post('/api/v1/tasks', { queue: 'fix', prompt: 'say hello', ...body }, headers);
  expect(answer).toMatchObject({ status: 202 });
  return answer.body as Task;
};
const read = async (taskId: string, afterSeq: number): Promise<Json> =>
  (await call(`/api/v1/tasks/${taskId}?afterSeq=${afterSeq}`)).body;

/** Hands a task over as a dispatcher would. */
const assign = async (taskId: string): Promise<number> => {
  const { status, body } = await call(`/api/v1/tasks/${taskId}`);
  expect(status).toBe(200);
  const request = (expectedSeq: number) =>
    askTasks(plane.ports, 'assign', {
      grantId: `grant-${taskId}-${expectedSeq}`,
      expectedSeq,
      dispatcher: 'test',
      grants: [{ taskId, attempt: Number(body['attemptCount']) + 1, agent: 'builder-1' }],
    });
  let answer = await request(0);
  if (answer.outcome === 'refused') answer = await request(Number(answer.detail['actualSeq']));
  if (answer.outcome !== 'ok') throw new Error(JSON.stringify(answer));
  return answer.result.upToSeq;
};

describe('asking for a task', () => {
  test('ST-49 answers with its id, its place in the log and where to look', async () => {
    const { status, body, headers } = await post('/api/v1/tasks', {
      queue: 'docs',
      lane: 'slow',
      priority: 7,
      prompt: 'write a page',
      labels: ['gpu', 'eu'],
      references: ['https://issues.example/1'],
      metadata: { area: 'cart' },
    });
    const taskId = String(body['taskId']);
    expect(status).toBe(202);
    expect(headers.get('location')).toBe(`/api/v1/tasks/${taskId}`);
    expect(body).toMatchObject({
      taskId: expect.stringMatching(/^tsk_/),
      seq: expect.any(Number),
      state: 'pending',
      repeated: false,
    });
    expect(await read(taskId, Number(body['seq']))).toMatchObject({
      state: 'pending',
      queue: 'docs',
      lane: 'slow',
      priority: 7,
      title: 'write a page',
      labels: ['eu', 'gpu'],
      metadata: { area: 'cart' },
      attempts: [],
      position: 1,
    });
  });

  test('ST-49 ER-04 WK-53 an idempotency key gives the first answer again, also after the end, and refuses another order', async () => {
    const key = { 'idempotency-key': 'order-1' };
    const first = await create({ metadata: { a: '1', b: '2' } }, key);
    expect(await create({ metadata: { b: '2', a: '1' } }, key)).toMatchObject({ ...first, repeated: true });
    await post(`/api/v1/tasks/${first.taskId}/cancel`, {});
    expect(await create({ metadata: { a: '1', b: '2' } }, key)).toMatchObject({
      taskId: first.taskId,
      state: 'pending',
      repeated: true,
    });
    expect(await post('/api/v1/tasks', { queue: 'fix', prompt: 'something else' }, key)).toMatchObject({
      status: 409,
      body: { code: 'KEY_CONFLICTING_REQUEST', kind: 'schema-invalid' },
    });
    expect(await taskTypes(plane.ports, first.taskId)).toEqual(['created', 'cancelled']);
  });

  test('ST-50 every field is part of what must be the same', async () => {
    const changes: readonly Json[] = [
      { queue: 'q' },
      { lane: 'l' },
      { title: 't' },
      { priority: 1 },
      { provider: 'claude' },
      { agent: 'builder-1' },
      { workspace: 'w' },
      { replay: 'fail' },
      { maxAttempts: 1 },
      { leaseMs: 5000 },
      { turnTimeoutMs: 5000 },
      { prompt: 'p' },
      { labels: ['gpu'] },
      { references: ['r'] },
      { metadata: { m: 'm' } },
    ];
    const key = { 'idempotency-key': 'order-2' };
    await create({}, key);
    for (const change of changes)
      expect([
        change,
        (await post('/api/v1/tasks', { queue: 'fix', prompt: 'say hello', ...change }, key)).status,
      ]).toEqual([change, 409]);
  });

  test('names every mistake, and unknown agents and sessions', async () => {
    const bad = await post('/api/v1/tasks', {
      queue: 'Not A Name',
      prompt: '',
      priority: 1.5,
      colour: 'red',
    });
    expect(bad.status).toBe(400);
    expect((bad.body['errors'] as { path: string }[]).map(({ path }) => path).sort()).toEqual([
      'colour',
      'priority',
      'prompt',
      'queue',
    ]);
    expect(await post('/api/v1/tasks', { queue: 'fix', prompt: 'x', agent: 'nobody' })).toMatchObject({
      status: 404,
      body: { code: 'AGENT_UNKNOWN' },
    });
    const session = 'ses_01HF3Z0000000000000000000A';
    expect(await post('/api/v1/tasks', { queue: 'fix', prompt: 'x', session })).toMatchObject({
      status: 404,
      body: { code: 'SESSION_UNKNOWN' },
    });
    expect(await post('/api/v1/tasks', { queue: 'fix', prompt: 'x', tenant: 'other' })).toMatchObject({
      status: 403,
      body: { code: 'BOUNDARY_DENIED' },
    });
  });
});

describe('reading', () => {
  test('ST-51 WK-47 pages show each task once, higher priority first, then the older one', async () => {
    const made: Task[] = [];
    for (const priority of [0, 5, 0, 5, -3, 0, 5]) made.push(await create({ queue: 'paged', priority }));
    const last = made.at(-1);
    await read(last?.taskId ?? '', last?.seq ?? 0);
    const seen: Json[] = [];
    let cursor: unknown = '';
    while (typeof cursor === 'string') {
      const page = await call(`/api/v1/tasks?queue=paged&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...(page.body['tasks'] as Json[]));
      cursor = page.body['next'];
    }
    const ids = made.map(({ taskId }) => taskId);
    expect(seen.map(({ taskId }) => taskId)).toEqual([1, 3, 6, 0, 2, 5, 4].map((at) => ids[at]));
    expect((await call('/api/v1/tasks?cursor=nonsense')).body).toMatchObject({ code: 'CURSOR_INVALID' });
    expect((await call('/api/v1/tasks?limit=all')).status).toBe(400);
    expect((await call('/api/v1/tasks?state=waiting')).status).toBe(400);
  });

  test('HR-14 HR-15 places in the queue move back for a newcomer that goes first, and forward when the head leaves', async () => {
    const queue = 'places';
    const placeOf = async ({ taskId, seq }: Task): Promise<unknown> => (await read(taskId, seq))['position'];
    const first = await create({ queue });
    const second = await create({ queue });
    expect([await placeOf(first), await placeOf(second)]).toEqual([1, 2]);
    const urgent = await create({ queue, priority: 1 });
    expect(await placeOf(urgent)).toBe(1);
    expect([await placeOf(first), await placeOf(second)]).toEqual([2, 3]);
    const cancelled = await post(`/api/v1/tasks/${urgent.taskId}/cancel`, {});
    await read(urgent.taskId, Number(cancelled.body['seq']));
    expect([await placeOf(first), await placeOf(second), await placeOf(urgent)]).toEqual([1, 2, null]);
    const seq = await assign(first.taskId);
    await call(`/api/v1/tasks/${first.taskId}?afterSeq=${seq - 1}`);
    expect([await placeOf(first), await placeOf(second)]).toEqual([null, 1]);
  });

  test('WK-47 WK-49 changes come in the order in which they happened, and none is missed', async () => {
    const queue = 'changing';
    const [one, two] = [await create({ queue }), await create({ queue })];
    const cancelled = await post(`/api/v1/tasks/${one.taskId}/cancel`, { reason: 'no' });
    const changes = async (query: string, { body }: { readonly body: Json }): Promise<Json> =>
      (await call(`/api/v1/tasks/changes?queue=${queue}${query}&afterSeq=${String(body['seq'])}`)).body;
    const all = await changes('', cancelled);
    expect((all['tasks'] as Json[]).map(({ taskId }) => taskId)).toEqual([two.taskId, one.taskId]);
    expect(all['hasMore']).toBe(false);
    expect(Number(all['after'])).toBeGreaterThanOrEqual(Number(cancelled.body['seq']));
    const retried = await post(`/api/v1/tasks/${one.taskId}/retry`, {});
    const next = await changes(`&after=${String(all['after'])}`, retried);
    expect((next['tasks'] as Json[]).map(({ taskId, state }) => [taskId, state])).toEqual([
      [one.taskId, 'pending'],
    ]);
    const none = await changes(`&after=${String(next['after'])}`, retried);
    expect(none).toMatchObject({ tasks: [], hasMore: false });
    expect(Number(none['after'])).toBeGreaterThanOrEqual(Number(next['after']));
  });

  test('ST-56 queues are counted by state and lane, with what goes next', async () => {
    const queue = 'counted';
    const waiting = await create({ queue });
    const urgent = await create({ queue, lane: 'fast', priority: 3 });
    const gone = await create({ queue, lane: 'fast' });
    const cancelled = await post(`/api/v1/tasks/${gone.taskId}/cancel`, {});
    await read(gone.taskId, Number(cancelled.body['seq']));
    const { body } = await call(`/api/v1/queues?queue=${queue}`);
    expect(body).toMatchObject({
      queues: [
        {
          queue,
          total: 3,
          states: { pending: 2, cancelled: 1 },
          lanes: { main: 1, fast: 2 },
          maxSeq: cancelled.body['seq'],
          next: [urgent.taskId, waiting.taskId],
        },
      ],
      generatedAt: expect.any(Number),
    });
    const all = (await call('/api/v1/queues')).body['queues'] as Json[];
    expect(all.map((one) => one['queue'])).toContain(queue);
  });

  test('ER-01 an unknown task is not found, whatever is asked of it', async () => {
    for (const taskId of ['tsk_01HF3Z0000000000000000000A', 'nonsense']) {
      const answers = [
        await call(`/api/v1/tasks/${taskId}`),
        await post(`/api/v1/tasks/${taskId}/cancel`, {}),
        await post(`/api/v1/tasks/${taskId}/retry`, {}),
      ];
      for (const answer of answers)
        expect(answer).toMatchObject({ status: 404, body: { code: 'TASK_UNKNOWN', kind: 'schema-invalid' } });
    }
  });
});

describe('cancel and retry', () => {
  test('HR-19 ST-53 ST-T18 ST-T19 a waiting task is cancelled at once, a second cancel changes nothing', async () => {
    const { taskId } = await create();
    const first = await post(`/api/v1/tasks/${taskId}/cancel`, { reason: 'not needed' });
    expect(first).toMatchObject({ status: 202, body: { state: 'cancelled' } });
    const second = await post(`/api/v1/tasks/${taskId}/cancel`, { reason: 'again' });
    expect(second.body).toMatchObject({ state: 'cancelled', seq: first.body['seq'] });
    expect(await read(taskId, Number(first.body['seq']))).toMatchObject({ reason: 'not needed' });
  });

  test('ST-53 WK-58 a task under way is cancelled by its run, and its summary keeps the attempt', async () => {
    const { taskId } = await create();
    await assign(taskId);
    expect(await post(`/api/v1/tasks/${taskId}/cancel`, {})).toMatchObject({ body: { state: 'cancelling' } });
    // Nobody has claimed the run: it ends at once.
    const { seq } = await taskEvent(plane.ports, taskId, 'fleetlog.task.cancelled.v1');
    expect(await read(taskId, seq)).toMatchObject({
      state: 'cancelled',
      attempts: [{ attempt: 1, agent: 'builder-1', outcome: 'cancelled' }],
    });
  });

  test('WK-58 a retry lets it wait again with all its attempts; one key retries once', async () => {
    const { taskId } = await create();
    await assign(taskId);
    expect(await post(`/api/v1/tasks/${taskId}/retry`, {})).toMatchObject({
      status: 409,
      body: { code: 'TASK_NOT_ENDED' },
    });
    await post(`/api/v1/tasks/${taskId}/cancel`, {});
    await taskEvent(plane.ports, taskId, 'fleetlog.task.cancelled.v1');
    const key = { 'idempotency-key': 'retry-1' };
    const retried = await post(`/api/v1/tasks/${taskId}/retry`, {}, key);
    expect(retried).toMatchObject({ status: 202, body: { state: 'pending', repeated: false } });
    expect(await post(`/api/v1/tasks/${taskId}/retry`, {}, key)).toMatchObject({ body: { repeated: true } });
    expect(await read(taskId, Number(retried.body['seq']))).toMatchObject({
      state: 'pending',
      attemptCount: 1,
      attempts: [{ attempt: 1, outcome: 'cancelled' }],
    });
    expect((await taskTypes(plane.ports, taskId)).filter((type) => type === 'retried')).toHaveLength(1);
  });
});
