// Hosts, versions and new agents over HTTP: what is shown, what is asked of the owner, and what is said when nobody can do it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { emptyConfig } from '#libs/config/schema.ts';
import { createIdentityService } from '#services/identity/service.ts';
import { gateway } from '#services/gateway/service.ts';
import { createHostsService } from '#services/hosts/service.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { HOST_PRESENCE_EXAMPLE } from '#streams/generate-host-examples.ts';
import { encodeHostEvent } from '#streams/host-codec.ts';
import { HOST_API } from '#streams/http/hosts.ts';
import { HOST_REQUESTS } from '#streams/host-requests.ts';
import { agentRequestSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { gatewayCli } from '#test/support/gateway-cli.ts';
import { provisionHosts } from '#test/support/host-rig.ts';

let broker: FreshBroker;
let control: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provisionHosts(broker);
  control = await startControlPlane({
    broker,
    services: [createHostsService({ version: '0.1.0' }), gateway],
    config: { gateway: { port: 0 } },
  });
  const { host: _host, seenAt: _seenAt, ...word } = HOST_PRESENCE_EXAMPLE;
  await askRequest(control.ports.requests.client, {
    subject: agentRequestSubject({ ...BOUNDARY, agent: 'forge' }, 'hosts', 'announce'),
    request: { ...word, contract: 1, ttlMs: 600_000 },
    answer: HOST_REQUESTS.announce.answer,
    timeoutMs: 5000,
  });
});
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const get = async (path: string): Promise<{ readonly status: number; readonly body: unknown }> => {
  const response = await fetch(`${control.url()}${path}`);
  return { status: response.status, body: await response.json() };
};
const post = async (
  path: string,
  body: object = {},
): Promise<{ readonly status: number; readonly body: unknown }> => {
  const response = await fetch(`${control.url()}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  return { status: response.status, body: await response.json() };
};

test('IM-30 a host is listed and shown with its presence, and one that there is not is a 404', async () => {
  await expect
    .poll(async () => (await get('/api/v1/hosts')).body)
    .toMatchObject({
      hosts: [{ host: 'forge', state: 'online', presence: { runners: [{ agent: 'builder-1' }] } }],
    });
  const { body } = await get('/api/v1/hosts/forge');
  expect(HOST_API.getHost.answer.parse(body)).toMatchObject({ labels: ['gpu'] });
  expect(await get('/api/v1/hosts/nowhere')).toMatchObject({ status: 404, body: { code: 'HOST_UNKNOWN' } });
  expect(await get('/api/v1/hosts?tenant=other')).toMatchObject({ status: 403 });
});

test('a host of an older contract is shown as such', async () => {
  expect((await get('/api/v1/versions')).body).toMatchObject({
    control: { contract: 2 },
    hosts: [{ name: 'forge', skew: 'older' }],
    runners: [],
  });
});

test('drain, undrain, update and retire go to the owner, each with its refusals', async () => {
  expect(await post('/api/v1/hosts/forge/drain', { reason: 'new memory' })).toMatchObject({
    status: 202,
    body: { host: 'forge', state: 'draining', repeated: false },
  });
  expect(await post('/api/v1/hosts/forge/undrain')).toMatchObject({ body: { state: 'online' } });
  expect(await post('/api/v1/hosts/forge/update', { version: '0.2.0' })).toMatchObject({
    body: { state: 'online', repeated: false },
  });
  const cli = gatewayCli({ apiUrl: control.url(), natsUrl: broker.url });
  // The word of the command, not the program's own --version.
  expect((await cli(['host', 'update', 'forge', '--version', '0.3.0', '--json'])).json()).toMatchObject({
    host: 'forge',
    state: 'online',
  });
  expect(await post('/api/v1/hosts/forge/drain', { why: 'x' })).toMatchObject({ status: 400 });
  expect(await post('/api/v1/hosts/nowhere/drain')).toMatchObject({ status: 404 });
  expect(await post('/api/v1/hosts/forge/retire')).toMatchObject({
    status: 409,
    body: { code: 'HOST_ONLINE' },
  });
  const { bootId } = HOST_PRESENCE_EXAMPLE;
  const event = { host: 'forge', bootId, reason: 'switched off', offlineAt: 1 } as const;
  const by = { id: 'forge-off', source: '/test', timeMs: 1, actor: 'test', correlation: 'forge' } as const;
  await control.ports
    .log('TRANSITIONS')
    .append(encodeHostEvent({ type: 'fleetlog.host.offline.v1', ...event }, { boundary: BOUNDARY, ...by }));
  expect(await post('/api/v1/hosts/forge/retire')).toMatchObject({ body: { state: 'retired' } });
  expect(await post('/api/v1/hosts/forge/drain')).toMatchObject({
    status: 409,
    body: { code: 'HOST_RETIRED' },
  });
});

test('a new agent needs somebody who can make users: without one it says so, with one the name is known at once', async () => {
  expect(await post('/api/v1/agents', { agent: 'second' })).toMatchObject({
    status: 503,
    body: { code: 'IDENTITY_AWAY' },
  });
  const keeper = await startControlPlane({
    broker,
    services: [
      createIdentityService(emptyConfig, () => ({
        addAgents: (places) =>
          Promise.resolve(
            places.map(({ agent }) =>
              agent === 'forge' ? { agent, kind: 'taken' } : { agent, kind: 'added', credential: '/x' },
            ),
          ),
      })),
    ],
  });
  try {
    expect(await post('/api/v1/agents', { agent: 'forge' })).toMatchObject({
      status: 409,
      body: { code: 'AGENT_NAME_TAKEN' },
    });
    expect(await post('/api/v1/agents', { agent: 'second' })).toMatchObject({
      status: 202,
      body: { agent: 'second', user: 'runner-second', repeated: false },
    });
    expect(await post('/api/v1/agents/batch', { agents: ['third', 'forge', 'third'] })).toMatchObject({
      status: 202,
      body: {
        agents: [
          { agent: 'third', outcome: 'added', user: 'runner-third', credential: '/x' },
          { agent: 'forge', outcome: 'taken', credential: '' },
        ],
      },
    });
    expect(await post('/api/v1/agents/batch', { agents: [] })).toMatchObject({ status: 400 });
    await expect
      .poll(async () => (await get('/api/v1/runners')).body)
      .toMatchObject({ agents: expect.arrayContaining(['second', 'third']) as unknown });
  } finally {
    await keeper.stop();
  }
});
