// A tool that is built on the older `nats` client, with nothing but streams/README.md, sees live entries, reads buckets and
// replays streams; and what the README shows is what it gets.
import { createEventLog } from '#libs/nats/event-log.ts';
import { connectNats, type NatsConnectionHandle } from '#libs/nats/connect.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import { systemClock } from '#libs/system/clock.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import { accountsOf, CONTROL_USER, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { viewKey } from '#streams/buckets.ts';
import { topologyOf } from '#streams/consumers.ts';
import { jsonBytes } from '#streams/entry.ts';
import { encodeReport } from '#streams/report-codec.ts';
import { encodeRunEvent } from '#streams/run-codec.ts';
import { EXAMPLE, REPORT_EXAMPLES, RUN_EXAMPLES } from '#streams/generate-examples.ts';
import { BUCKET_EXAMPLES } from '#streams/generate-example-values.ts';
import { freshBroker, scratchDir, type FreshBroker } from '#test/support/broker.ts';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { olderClient, type OlderClient } from './older-client.ts';

const clock = systemClock;
const { boundary, agent, runId } = EXAMPLE;
const shape = { replicas: 1, agents: [{ ...boundary, agent }] };

let broker: FreshBroker;
let control: NatsConnectionHandle;
let runner: NatsConnectionHandle;
let tool: OlderClient;

const connectAs = (user: string, password: string, inboxPrefix?: string): Promise<NatsConnectionHandle> =>
  connectNats({
    servers: [broker.url],
    user,
    password,
    name: user,
    clock,
    ...(inboxPrefix !== undefined && { inboxPrefix }),
  });

const next = async <T>(iterator: AsyncIterator<T>): Promise<T> => {
  const { value, done } = await iterator.next();
  if (done === true) return expect.unreachable('the iterator ended');
  return value;
};

const runEntries = () =>
  Object.values(RUN_EXAMPLES)
    .slice(0, 3)
    .map((event, index) =>
      encodeRunEvent(event, {
        boundary,
        id: `${runId}:${index + 1}`,
        source: '/service/runs',
        actor: 'user:anna',
        correlation: runId,
        timeMs: clock.now(),
      }),
    );

beforeAll(async () => {
  const accounts = accountsOf(shape, {
    systemPassword: 'system',
    controlPassword: 'control',
    viewerPassword: 'viewer',
    runnerPasswords: { [agent]: 'runner' },
  });
  broker = await freshBroker({ accounts });
  control = await connectAs(CONTROL_USER, 'control');
  await reconcileTopology({
    declared: topologyOf(shape),
    driver: natsTopologyDriver(control),
    clock,
    storageBudgetBytes: 64 * 1024 ** 2,
  });
  runner = await connectAs(runnerUser(agent), 'runner', runnerInboxPrefix(agent));
  tool = await olderClient({ url: broker.url, user: CONTROL_USER, password: 'control' });
});
afterAll(async () => {
  await tool[Symbol.asyncDispose]();
  await runner.close();
  await control.close();
  await broker[Symbol.asyncDispose]();
});

test('transitions are replayed in order, with the envelope as headers and JSON bodies', async () => {
  const log = createEventLog(control, { stream: 'TRANSITIONS' });
  let expectedSeq = 0;
  const entries = runEntries();
  for (const entry of entries) {
    const outcome = await log.append({ ...entry, expectedSeq });
    expect(outcome.kind).toBe('appended');
    if (outcome.kind === 'appended') expectedSeq = outcome.seq;
  }
  const replayed = await tool.replay('TRANSITIONS', `fleet.acme.web.run.*.${runId}`);
  expect(replayed.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(replayed.map(({ headers }) => headers['ce-type'])).toEqual(
    entries.map(({ headers }) => headers['ce-type']),
  );
  for (const [index, { id, headers }] of entries.entries()) {
    expect(replayed[index]?.headers).toMatchObject({ ...headers, 'Nats-Msg-Id': id });
    expect(replayed[index]?.body).toMatchObject({ runId });
  }
});

test('a replay begins at a sequence and ends with what is there', async () => {
  const replayed = await tool.replay('TRANSITIONS', 'fleet.*.*.run.*.*', 2);
  expect(replayed.map(({ seq }) => seq)).toEqual([2, 3]);
  expect(await tool.replay('TRANSITIONS', 'fleet.*.*.run.*.nobody')).toEqual([]);
});

test('the replay that streams/README.md shows runs as it stands there', async () => {
  const readme = readFileSync(join(import.meta.dirname, '../../streams/README.md'), 'utf8');
  const shown = [...readme.matchAll(/```js\n(.*?)```/gs)].map(([, code = '']) => code);
  const [replay] = shown.filter((code) => code.includes('consumers.get'));
  const file = join(scratchDir('readme'), 'replay.mjs');
  writeFileSync(file, `export const run = async (js, console) => {${replay}};`);
  const { run } = (await import(file)) as { run: (js: unknown, console: unknown) => Promise<void> };
  const lines: unknown[][] = [];
  await run(tool.nc.jetstream(), { log: (...parts: unknown[]) => void lines.push(parts) });
  expect(lines.map(([seq, , type]) => [seq, type])).toEqual([
    [1, 'fleetlog.run.created.v1'],
    [2, 'fleetlog.run.claimed.v1'],
    [3, 'fleetlog.run.turn-started.v1'],
  ]);
});

test('what a runner reports from its own account is seen live', async () => {
  const live = await tool.live('fleet.*.*.evt.*.*.text');
  const everything = await tool.live('fleet.acme.web.>');
  const entry = encodeReport('text', REPORT_EXAMPLES.text, {
    boundary,
    agent,
    id: 'evt_live',
    source: `/runner/${agent}`,
    actor: `agent:${agent}`,
    correlation: runId,
    fence: 17,
    sourceSeq: 1,
    timeMs: clock.now(),
  });
  await createEventLog(runner, { stream: 'EVENTS' }).append(entry);
  for (const seen of [await next(live), await next(everything)]) {
    expect(seen.subject).toBe(entry.subject);
    expect(seen.headers).toMatchObject(entry.headers);
    expect(seen.body).toEqual(REPORT_EXAMPLES.text);
  }
});

test('a bucket is read and watched, and a value tells how far it reflects the log', async () => {
  const key = viewKey(boundary, runId);
  const kv = openKeyValue(control, { bucket: 'runs' });
  await kv.put(key, jsonBytes(BUCKET_EXAMPLES.runs));
  expect(await tool.read('runs', key)).toEqual(BUCKET_EXAMPLES.runs);
  expect(await tool.read('runs', viewKey(boundary, 'nobody'))).toBeUndefined();
  const watch = await tool.watch('runs', 'acme.web.*');
  expect(await next(watch)).toEqual([key, BUCKET_EXAMPLES.runs]);
  const changed = { ...BUCKET_EXAMPLES.runs, seq: 15, state: 'completed' };
  await kv.put(key, jsonBytes(changed));
  expect(await next(watch)).toEqual([key, changed]);
});

test('a key with an expiry is read like any other', async () => {
  const kv = openKeyValue(control, { bucket: 'leases' });
  await kv.put('acme.web.run.x', jsonBytes(BUCKET_EXAMPLES.leases), { ttlMs: 60_000 });
  expect(await tool.read('leases', 'acme.web.run.x')).toEqual(BUCKET_EXAMPLES.leases);
});
