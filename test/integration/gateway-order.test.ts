// The order of a queue over HTTP on a real broker, as it changes.
import { expect, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import { createClient } from '#services/client/client.ts';
import { gateway } from '#services/gateway/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { API } from '#streams/http/api.ts';
import { freshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane } from '#test/support/control-plane.ts';
import { askTasks, createTask } from '#test/support/task-facts.ts';

test('HR-14 HR-15 places are announced in both directions: who is pushed back by an insertion, and who moves forward when the head leaves', async () => {
  await using broker = await freshBroker();
  await provision(broker);
  // Without dispatch: what waits goes on waiting until it is cancelled here.
  const config = { gateway: { port: 0, agents: ['builder-1'] } };
  await using plane = await startControlPlane({ broker, services: [tasks, gateway], config });
  const { ports } = plane;
  const create = (priority: number): Promise<string> => createTask(ports, { queue: 'line', priority });
  const [a, b] = [await create(0), await create(0)];
  const client = createClient({ url: plane.url(), clock: systemClock });
  const leaving = new AbortController();
  const events = client.stream('streamOrder', { path: { queue: 'line' }, signal: leaving.signal });
  const places = new Map<string, number>();
  /** Takes events as they come until the queue is as it is to be; gives who was named. */
  const until = async (...wanted: readonly string[]): Promise<ReadonlySet<string>> => {
    const named = new Set<string>();
    while (places.size !== wanted.length || !wanted.every((task, at) => places.get(task) === at + 1)) {
      const { value, done } = await events.next();
      if (done === true) throw new Error('the stream has ended');
      for (const { taskId, from, to } of API.streamOrder.answer.parse(value.data).changes) {
        expect(from).toBe(places.get(taskId) ?? null);
        named.add(taskId);
        if (to === null) places.delete(taskId);
        else places.set(taskId, to);
      }
    }
    return named;
  };
  await until(a, b);
  const urgent = await create(5);
  expect(await until(urgent, a, b)).toEqual(new Set([urgent, a, b]));
  const cancelled = { taskId: urgent, requestId: 'c', reason: 'no', actor: 'user:test' };
  expect(await askTasks(ports, 'cancel', cancelled)).toMatchObject({ outcome: 'ok' });
  expect(await until(a, b)).toEqual(new Set([urgent, a, b]));
  const last = await create(0);
  expect(await until(a, b, last), 'nobody else has moved').toEqual(new Set([last]));
  leaving.abort();
  for (const path of ['line/stream?limit=none', 'No%20queue/stream']) {
    const { status } = await fetch(`${plane.url()}/api/v1/queues/${path}`, {
      signal: AbortSignal.timeout(5000),
    });
    expect([path, status]).toEqual([path, 400]);
  }
});
