// The services as NATS micro-services (ADR-32), seen with the older client's own tools for them: found, described, counted, called.
import { connect, RequestStrategy, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { jsonBytes } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { bytesOverNats } from '#test/support/refusals.ts';
import { runRequest } from '#test/support/run-facts.ts';

const SERVICES = [runs, tasks, mail, sessions];

let broker: FreshBroker;
let first: ControlPlane;
let second: ControlPlane;
/** On a connection of its own: what it asks goes through the broker. */
let asker: ControlPlane;
let nc: NatsConnection;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  first = await startControlPlane({ broker, services: SERVICES });
  second = await startControlPlane({ broker, services: [runs] });
  asker = await startControlPlane({ broker, services: [] });
  nc = await connect({ servers: broker.url, user: broker.user, pass: broker.password });
});
afterAll(async () => {
  await nc.close();
  await asker.stop();
  await second.stop();
  await first.stop();
  await broker[Symbol.asyncDispose]();
});

const all = async <Item>(found: Promise<AsyncIterable<Item>>): Promise<Item[]> => {
  const items: Item[] = [];
  for await (const item of await found) items.push(item);
  return items;
};
/** As the `nats` tool asks: whoever answers within a moment. */
const tool = () => nc.services.client({ strategy: RequestStrategy.Timer, maxWait: 300 });

describe('a tool', () => {
  test('finds every service, each instance under an id of its own', async () => {
    const pings = await all(tool().ping());
    expect(pings.map(({ name }) => name).sort()).toEqual(['mail', 'runs', 'runs', 'sessions', 'tasks']);
    expect(new Set(pings.map(({ id }) => id)).size).toBe(5);
    const [one] = pings.filter(({ name }) => name === 'runs');
    expect(await all(tool().ping('runs', one?.id))).toEqual([one]);
    await expect(all(tool().ping('nobody'))).rejects.toThrow('503');
  });

  test('is told what can be asked, where, and what it does', async () => {
    const [info] = await all(tool().info('runs'));
    expect(info).toMatchObject({ type: 'io.nats.micro.v1.info_response', name: 'runs' });
    const create = info?.endpoints.find(({ name }) => name === 'create');
    expect(create).toMatchObject({
      subject: 'fleet-api.*.*.runs.create',
      queue_group: 'runs',
      metadata: { means: expect.stringContaining('Create a run') },
    });
    const names = info?.endpoints.map(({ name }) => name) ?? [];
    for (const name of ['create', 'cancel', 'answer-approval', 'claim', 'renew'])
      expect(names).toContain(name);
    expect(new Set(names).size).toBe(names.length);
    // What one asks of a runner's mail and of a person's are two endpoints.
    const [ofMail] = await all(tool().info('mail'));
    expect(
      ofMail?.endpoints.filter(({ name }) => name.startsWith('send')).map(({ name }) => name),
    ).toHaveLength(2);
  });

  test('calls an operation by its subject, sees a refusal as an error, and finds both counted', async () => {
    const ask = async (body: unknown) =>
      nc.request('fleet-api.local.main.runs.cancel', JSON.stringify(body), { timeout: 5000 });
    const runId = makeId('run', systemIds.ulid());
    const refused = await ask({ runId, reason: 'x', actor: 'user:anna' });
    expect(refused.json()).toMatchObject({ outcome: 'refused', code: 'RUN_UNKNOWN' });
    expect(refused.headers?.get('Nats-Service-Error')).toMatch(/^RUN_UNKNOWN: /);
    expect(refused.headers?.get('Nats-Service-Error-Code')).toBe('400');
    const broken = await ask({ runId: 'x' });
    expect(broken.json()).toMatchObject({ outcome: 'fault', code: 'REQUEST_INVALID' });
    expect(broken.headers?.get('Nats-Service-Error-Code')).toBe('500');
    const stats = await all(tool().stats('runs'));
    const cancels = stats.flatMap(({ endpoints = [] }) => endpoints.filter(({ name }) => name === 'cancel'));
    expect(cancels.reduce((sum, { num_requests: count }) => sum + count, 0)).toBe(2);
    expect(cancels.reduce((sum, { num_errors: count }) => sum + count, 0)).toBe(2);
    const asked = cancels.filter(({ num_requests: count }) => count > 0);
    for (const one of asked) {
      expect(one.average_processing_time).toBeGreaterThan(0);
      expect(one.last_error).toMatch(/^(?:RUN_UNKNOWN|REQUEST_INVALID)/);
    }
  });

  test('no longer finds an instance that has stopped', async () => {
    await second.stop();
    expect((await all(tool().ping('runs'))).length).toBe(1);
  });
});

/** An answer to an approval with an input of that many levels. */
const edited = (levels: number): string => {
  const answer = {
    runId: makeId('run', systemIds.ulid()),
    approvalId: makeId('approval', systemIds.ulid()),
    answerId: 'a',
    decision: 'edit',
    actor: 'user:anna',
  };
  return `${JSON.stringify(answer).slice(0, -1)},"input":${'['.repeat(levels)}${']'.repeat(levels)}}`;
};

describe('bad input over NATS', () => {
  const text = (body: string): Uint8Array => new TextEncoder().encode(body);
  test.each([
    ['no JSON', text('{"runId": '), 'REQUEST_INVALID'],
    ['no object', text('[1]'), 'REQUEST_INVALID'],
    ['nested without end', text('['.repeat(500_000)), 'REQUEST_INVALID'],
    ['nested deep where anything may stand', text(edited(20_000)), 'REQUEST_INVALID'],
    ['a number as text', jsonBytes({ ...runRequest(), maxAttempts: '3' }), 'REQUEST_INVALID'],
    [
      'a prompt over its limit',
      jsonBytes({ ...runRequest(), request: { prompt: 'x'.repeat(900_000), turnTimeoutMs: 1000 } }),
      'REQUEST_INVALID',
    ],
    ['more than goes on record', jsonBytes({ text: 'x'.repeat(1_040_000) }), 'REQUEST_TOO_LARGE'],
  ])('%s changes nothing', async (what, body, code) => {
    const before = await first.ports.log('TRANSITIONS').bounds();
    const operation = what.startsWith('nested deep') ? 'answer-approval' : 'create';
    const said = await bytesOverNats(asker.ports, ['runs', operation], body);
    const status = code === 'REQUEST_INVALID' ? 400 : 413;
    expect(said).toEqual({ status, kind: 'schema-invalid', code });
    expect(await first.ports.log('TRANSITIONS').bounds()).toEqual(before);
  });
});
