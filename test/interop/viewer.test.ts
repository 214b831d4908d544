// What a tool of somebody else's sees and may not do as the user `viewer`, with the older `nats` client and streams/README.md alone.
import { createEventLog } from '#libs/nats/event-log.ts';
import { connectNats, type NatsConnectionHandle } from '#libs/nats/connect.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { natsTopologyDriver } from '#libs/nats/topology-driver.ts';
import { systemClock } from '#libs/system/clock.ts';
import { reconcileTopology } from '#libs/topology/apply.ts';
import { accountsOf, CONTROL_USER, runnerInboxPrefix, VIEWER_USER } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { viewKey } from '#streams/buckets.ts';
import { serviceConsumers, topologyOf } from '#streams/consumers.ts';
import { jsonBytes } from '#streams/entry.ts';
import { encodeReport } from '#streams/report-codec.ts';
import { EXAMPLE, REPORT_EXAMPLES } from '#streams/generate-examples.ts';
import { BUCKET_EXAMPLES } from '#streams/generate-example-values.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { olderClient, type OlderClient } from './older-client.ts';

const { boundary, agent, runId } = EXAMPLE;
const shape = { replicas: 1, agents: [{ ...boundary, agent }] };

let broker: FreshBroker;
let control: NatsConnectionHandle;
let runner: NatsConnectionHandle;
let viewer: OlderClient;

const connectAs = (user: string, password: string, more = {}): Promise<NatsConnectionHandle> =>
  connectNats({ servers: [broker.url], user, password, name: user, clock: systemClock, ...more });

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
    clock: systemClock,
    storageBudgetBytes: 64 * 1024 ** 2,
  });
  runner = await connectAs(runnerUser(agent), 'runner', { inboxPrefix: runnerInboxPrefix(agent) });
  viewer = await olderClient({
    url: broker.url,
    user: VIEWER_USER,
    password: 'viewer',
  });
});
afterAll(async () => {
  await viewer[Symbol.asyncDispose]();
  await runner.close();
  await control.close();
  await broker[Symbol.asyncDispose]();
});

const report = (id: string) =>
  encodeReport('text', REPORT_EXAMPLES.text, {
    boundary,
    agent,
    id,
    source: `/runner/${agent}`,
    actor: `agent:${agent}`,
    correlation: runId,
    fence: 17,
    timeMs: systemClock.now(),
  });

/** What became of a request of the viewer. */
const answerTo = async (subject: string, body: unknown): Promise<string> => {
  try {
    return (await viewer.nc.request(subject, JSON.stringify(body), { timeout: 5000 })).string();
  } catch (error) {
    return /permissions violation/i.test(String(error)) ? 'refused' : String(error);
  }
};

test('a viewer sees live what runners report, and every change of a bucket', async () => {
  const live = await viewer.live('fleet.>');
  const changes = viewer.nc.subscribe('$KV.runs.>')[Symbol.asyncIterator]();
  await viewer.nc.flush();
  const entry = report('evt_live');
  await createEventLog(runner, { stream: 'EVENTS' }).append(entry);
  expect((await live.next()).value).toMatchObject({ subject: entry.subject, body: REPORT_EXAMPLES.text });
  const key = viewKey(boundary, runId);
  await openKeyValue(control, { bucket: 'runs' }).put(key, jsonBytes(BUCKET_EXAMPLES.runs));
  const change = (await changes.next()).value as { readonly subject: string; json(): unknown };
  expect([change.subject, change.json()]).toEqual([`$KV.runs.${key}`, BUCKET_EXAMPLES.runs]);
});

test('a viewer sees neither the answers to others nor what they ask', async () => {
  for (const subject of ['_INBOX.>', 'fleet-api.>', '$JS.>', '>']) {
    const subscription = viewer.nc.subscribe(subject);
    await expect(subscription[Symbol.asyncIterator]().next()).rejects.toThrow(/permissions violation/i);
  }
});

test('a viewer publishes nothing: no entry, no key, no question, no answer aimed at a stream', async () => {
  const log = createEventLog(control, { stream: 'EVENTS' });
  const before = await log.bounds();
  const { subject } = report('evt_x');
  const { name } = serviceConsumers.runReports;
  for (const [asked, body] of [
    [subject, {}],
    [`$KV.runs.${viewKey(boundary, runId)}`, {}],
    ['$JS.API.CONSUMER.CREATE.EVENTS.spy', { stream_name: 'EVENTS', config: { name: 'spy' } }],
    [`$JS.API.CONSUMER.MSG.NEXT.EVENTS.${name}`, { batch: 1 }],
    [`$JS.API.CONSUMER.DELETE.EVENTS.${name}`, {}],
    ['$JS.API.STREAM.PURGE.EVENTS', {}],
    ['$JS.API.STREAM.MSG.DELETE.EVENTS', { seq: 1 }],
    ['$JS.API.DIRECT.GET.EVENTS', { seq: 1 }],
    [`fleet-api.${boundary.tenant}.${boundary.project}.runs.cancel`, {}],
  ] as const)
    expect([asked, await answerTo(asked, body)]).toEqual([asked, 'refused']);
  // A question whose answer the broker would store: the viewer may not ask it.
  viewer.nc.publish('$JS.API.DIRECT.GET.EVENTS', JSON.stringify({ seq: 1 }), { reply: subject });
  await viewer.nc.flush();
  expect(await log.bounds()).toEqual(before);
});
