// Tasks on the command line: many cancelled and retried at once, and what one waits for; against a gateway on a real broker.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { gatewayCli } from '#test/support/gateway-cli.ts';
import { askTasks, createTask } from '#test/support/task-facts.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let cli: ReturnType<typeof gatewayCli>;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  // Without dispatch: what waits goes on waiting.
  const config = { gateway: { port: 0, agents: ['builder-1'] } };
  plane = await startControlPlane({ broker, services: [tasks, gateway], config });
  cli = gatewayCli({ apiUrl: plane.url(), natsUrl: broker.url });
});
afterAll(async () => {
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

/** Resolves when the gateway has seen all of it. */
const create = async (queue: string, count: number): Promise<readonly string[]> => {
  const made = await Promise.all(Array.from({ length: count }, () => createTask(plane.ports, { queue })));
  await counted(queue, `pending ${count}`);
  return made;
};
const counted = (queue: string, text: string) =>
  vi.waitFor(async () => expect((await cli(['task', 'queues', '--queue', queue])).out).toContain(text));

test('a choice is shown, and done to every task of it only with --yes', async () => {
  const made = await create('many', 105);
  await create('other', 1);
  const shown = await cli(['task', 'cancel', '--queue', 'many']);
  expect([shown.code, made.some((taskId) => shown.out.includes(taskId))]).toEqual([0, true]);
  expect(shown.out).toContain('and 95 more');
  expect(shown.note).toContain('nothing was done; to cancel 105 tasks, add --yes');
  const done = await cli(['task', 'cancel', '--queue', 'many', '--reason', 'not needed', '--yes', '--json']);
  expect(done.code).toBe(0);
  const { changed, refused } = done.json() as { changed: { taskId: string; state: string }[]; refused: [] };
  expect(changed.map(({ taskId }) => taskId).toSorted()).toEqual([...made].toSorted());
  expect([new Set(changed.map(({ state }) => state)), refused]).toEqual([new Set(['cancelled']), []]);
  expect((await cli(['task', 'list', '--queue', 'other', '--json'])).out).toContain('"state":"pending"');
  await counted('many', 'cancelled 105');
  // What somebody cancelled is taken up again only where that is said.
  expect((await cli(['task', 'retry', '--queue', 'many'])).note).toBe('there is no such task');
  const again = await cli(['task', 'retry', '--queue', 'many', '--state', 'cancelled', '--yes']);
  expect([again.code, again.out]).toEqual([0, '105 are pending']);
});

test('one that refuses holds up no other, and is named with its code', async () => {
  const [one = '', two = ''] = await create('few', 2);
  const cancelled = { taskId: two, requestId: 'c', reason: 'no', actor: 'user:test' };
  expect(await askTasks(plane.ports, 'cancel', cancelled)).toMatchObject({ outcome: 'ok' });
  const unknown = 'tsk_01HF3Z0000000000000000000Z';
  const answer = await cli(['task', 'retry', one, two, unknown]);
  expect([answer.code, answer.out]).toEqual([1, '1 is pending']);
  expect(answer.note).toMatch(new RegExp(`${unknown} TASK_UNKNOWN`));
  expect(answer.note).toMatch(new RegExp(`${one} TASK_`));
  expect(answer.note).toContain('2 of 3 were refused');
});

test('unstick says of a task what it waits for, and of one that has ended how it goes on', async () => {
  const [one = ''] = await create('stuck', 1);
  // Dispatch is not there to say more.
  expect((await cli(['unstick', one])).out).toBe(`${one} is pending, waits for: its turn`);
  expect((await cli(['unstick', one, '--fix'])).code).toBe(1);
  expect((await cli(['task', 'cancel', one])).code).toBe(0);
  await counted('stuck', 'cancelled 1');
  const { out, note } = await cli(['unstick', one]);
  expect([out, note]).toEqual([
    `${one} is cancelled, waits for: nothing`,
    `to let it wait for a further attempt: fleetlog task retry ${one}`,
  ]);
  expect((await cli(['unstick', one, '--json'])).json()).toEqual({
    taskId: one,
    state: 'cancelled',
    waitsFor: 'nothing',
    runId: null,
  });
  expect(await cli(['why', one])).toMatchObject({
    code: 2,
    note: expect.stringContaining(`fleetlog unstick ${one}`) as unknown,
  });
});

test('names or a choice, and one of them', async () => {
  for (const words of [
    ['task', 'cancel'],
    ['task', 'retry', 'tsk_01HF3Z0000000000000000000Z', '--queue', 'few'],
  ]) {
    const { code, note } = await cli(words);
    expect([code, note]).toEqual([
      2,
      expect.stringMatching(/^error ARGUMENT_INVALID: (which tasks|name tasks)/),
    ]);
  }
});
