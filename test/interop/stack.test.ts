// The whole stack seen by a tool of somebody else's: the older client, with the address and password that the stack left for tools, doing
// what streams/README.md says. It follows a run live, reads its summary from the buckets, and replays it, and sees the same in each.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { api, stackHome, type StackHome, type UpStack } from '#test/support/stack.ts';
import { wholeStream } from '#test/support/sse-client.ts';
import { olderClient, type OlderClient } from './older-client.ts';

type SeenEntry = Awaited<ReturnType<OlderClient['replay']>>[number];

let home: StackHome;
let stack: UpStack;
let tool: OlderClient;

beforeAll(async () => {
  home = await stackHome('interop');
  stack = await home.up();
  const { natsUrl, natsUser, natsPassword } = home.connection();
  tool = await olderClient({ url: natsUrl, user: natsUser, password: natsPassword });
});
afterAll(async () => {
  await tool[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

const take = async <T>(source: AsyncIterator<T>, until: (item: T) => boolean): Promise<T[]> => {
  const taken: T[] = [];
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    taken.push(next.value);
    if (until(next.value)) return taken;
  }
  throw new Error(`the source ended after ${taken.length}`);
};

const typeOf = ({ headers }: SeenEntry): string => headers['ce-type'] ?? '';
const idOf = ({ headers }: SeenEntry): string => headers['Nats-Msg-Id'] ?? '';

test('a run is seen live, in the buckets and in the replay, and each says the same', async () => {
  const live = await tool.live('fleet.local.main.>');
  const summaries = await tool.watch('runs', 'local.main.*');
  const json = { prompt: JSON.stringify([{ say: 'hello' }, { write: 'a.txt', content: 'a' }]) };
  const { body } = await api(stack.apiUrl, '/api/v1/runs', { json });
  const runId = String(body['runId']);
  const seen = await take(live, (entry) => typeOf(entry) === 'fleetlog.run.completed.v1');
  expect(seen.filter(({ subject }) => subject.includes('.run.')).map(typeOf)).toEqual([
    'fleetlog.run.created.v1',
    'fleetlog.run.claimed.v1',
    'fleetlog.run.turn-started.v1',
    'fleetlog.run.completed.v1',
  ]);
  expect(seen.map(typeOf)).toEqual(
    expect.arrayContaining(['fleetlog.command.turn.v1', 'fleetlog.turn.text.v1', 'fleetlog.file.changed.v1']),
  );

  const states = await take(summaries, ([, value]) => (value as { state?: string }).state === 'completed');
  expect(states.at(-1)).toEqual([
    `local.main.${runId}`,
    expect.objectContaining({ runId, state: 'completed', seq: expect.any(Number) as unknown }),
  ]);
  expect(await tool.read('runs', `local.main.${runId}`)).toEqual(states.at(-1)?.[1]);
  expect(await tool.read('activity', `local.main.${runId}`)).toMatchObject({
    runId,
    lastText: 'hello',
    filesChanged: 1,
  });
  expect(await tool.read('sessions', `local.main.${String(body['sessionId'])}`)).toMatchObject({
    activeRuns: [],
    lastOutcome: 'completed',
  });

  const transitions = await tool.replay('TRANSITIONS', `fleet.*.*.run.*.${runId}`);
  const reports = await tool.replay('EVENTS', 'fleet.*.*.evt.*.builder-1.*');
  const bySubject = (family: string): string[] =>
    seen.filter(({ subject }) => subject.split('.')[3] === family).map(idOf);
  expect(states.at(-1)?.[1]).toMatchObject({ seq: transitions.at(-1)?.seq });
  expect(transitions.map(idOf)).toEqual(bySubject('run'));
  expect(reports.map(idOf)).toEqual(bySubject('evt'));
  expect(reports.map(({ headers }) => headers['Fleet-Source-Seq'])).toEqual(
    reports.map((_, at) => String(at + 1)),
  );
  const third = transitions[2]?.seq;
  expect(await tool.replay('TRANSITIONS', `fleet.*.*.run.*.${runId}`, third)).toHaveLength(2);
});

test('what comes while the tool is away is replayed from the last sequence that it has seen', async () => {
  const before = (await tool.replay('TRANSITIONS', 'fleet.>')).at(-1)?.seq ?? 0;
  const json = { prompt: JSON.stringify([{ say: 'unseen' }]) };
  const { body } = await api(stack.apiUrl, '/api/v1/runs', { json });
  await wholeStream(`${stack.apiUrl}/api/v1/runs/${String(body['runId'])}/stream`);
  const missed = await tool.replay('TRANSITIONS', 'fleet.*.*.run.*.*', before + 1);
  expect(missed.map(typeOf)).toEqual([
    'fleetlog.run.created.v1',
    'fleetlog.run.claimed.v1',
    'fleetlog.run.turn-started.v1',
    'fleetlog.run.completed.v1',
  ]);
});

test('the password of the control plane opens nothing of the broker itself', async () => {
  await expect(tool.nc.request('$SYS.REQ.SERVER.PING', undefined, { timeout: 500 })).rejects.toThrow();
});
