// Receipts of idempotency keys over HTTP on a real broker: after the end of the work, after a change of defaults, after a lost answer.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { history, transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, tasks, mail, gateway],
    config: { gateway: { port: 0, leaseMs: 30_000 } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;

const postTo = async (at: ControlPlane, path: string, body: unknown, key: string) => {
  const response = await fetch(`${at.url()}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });
  return {
    status: response.status,
    body: (await response.json()) as Json,
    location: response.headers.get('location'),
    replayed: response.headers.get('idempotency-replayed'),
  };
};

test('WK-53 through any gateway, after the end and after other defaults, the first answer stands', async () => {
  const first = await postTo(plane, '/api/v1/runs', { prompt: 'x' }, 'k1');
  expect(first).toMatchObject({ status: 202, body: { repeated: false }, replayed: null });
  const runId = String(first.body['runId']);
  await postTo(plane, `/api/v1/runs/${runId}/cancel`, {}, 'k2');
  await transition(plane.ports, runId, 'fleetlog.run.cancelled.v1');
  await using other = await startControlPlane({
    broker,
    services: [gateway],
    config: { gateway: { port: 0, leaseMs: 60_000, maxAttempts: 9, turnTimeoutMs: 5000 } },
  });
  expect(await postTo(other, '/api/v1/runs', { prompt: 'x' }, 'k1')).toEqual({
    ...first,
    body: { ...first.body, repeated: true },
    replayed: 'true',
  });
  expect(await postTo(other, '/api/v1/runs', { prompt: 'y' }, 'k1')).toMatchObject({
    status: 409,
    body: { code: 'KEY_CONFLICTING_REQUEST', kind: 'schema-invalid' },
  });
  expect(await history(plane.ports, runId)).toHaveLength(2);
});

test('ER-04 every POST takes a key: the same again is answered the same, another is refused', async () => {
  const { body: run } = await postTo(plane, '/api/v1/runs', { prompt: 'x' }, 'all-run');
  const { body: task } = await postTo(plane, '/api/v1/tasks', { prompt: 'x', queue: 'q' }, 'all-task');
  const { body: message } = await postTo(
    plane,
    '/api/v1/messages',
    { to: 'builder-1', body: 'x' },
    'all-mail',
  );
  expect(message).toMatchObject({ messageId: expect.any(String) });
  const posts: readonly (readonly [string, Json, Json])[] = [
    [`/api/v1/runs/${String(run['runId'])}/cancel`, { reason: 'a' }, { reason: 'b' }],
    [`/api/v1/tasks/${String(task['taskId'])}/cancel`, { reason: 'a' }, { reason: 'b' }],
    ['/api/v1/messages', { to: 'builder-1', body: 'a' }, { to: 'builder-1', body: 'b' }],
    ['/api/v1/agents/builder-1/nudge', { body: 'a' }, { body: 'b' }],
  ];
  const keyFor = (path: string): string => `each-${path.split('/').at(-1) ?? ''}`;
  for (const [path, same, another] of posts) {
    const first = await postTo(plane, path, same, keyFor(path));
    expect([path, first.status]).toEqual([path, 202]);
    const repeated = 'repeated' in first.body ? { repeated: true } : {};
    expect(await postTo(plane, path, same, keyFor(path))).toEqual({
      ...first,
      body: { ...first.body, ...repeated },
      replayed: 'true',
    });
    expect(await postTo(plane, path, another, keyFor(path))).toMatchObject({ status: 409 });
  }
});

test('a request whose answer was lost is repeated as it was, although the defaults have changed', async () => {
  await using lonely = await freshBroker();
  await provision(lonely);
  {
    await using early = await startControlPlane({
      broker: lonely,
      services: [gateway],
      config: { gateway: { port: 0, leaseMs: 30_000, requestTimeoutMs: 200 } },
    });
    expect((await postTo(early, '/api/v1/runs', { prompt: 'x' }, 'lost')).status).toBe(503);
  }
  await using late = await startControlPlane({
    broker: lonely,
    services: [runs, gateway],
    config: { gateway: { port: 0, leaseMs: 60_000 } },
  });
  const { status, body } = await postTo(late, '/api/v1/runs', { prompt: 'x' }, 'lost');
  expect(status).toBe(202);
  expect(await history(late.ports, String(body['runId']))).toMatchObject([{ leaseMs: 30_000 }]);
});
