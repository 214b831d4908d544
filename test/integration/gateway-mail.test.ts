// Mail over HTTP and in the command line, on a real broker: what is written, listed, answered and owed, and how mistakes are told.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { gatewayCli } from '#test/support/gateway-cli.ts';
import { mailUntil, newMessageId, reportOf } from '#test/support/mail-asking.ts';

const AGENTS = ['builder-1', 'builder-2', 'lead-1'];

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, AGENTS);
  plane = await startControlPlane({
    broker,
    services: [runs, sessions, mail, gateway],
    config: { mail: { agents: AGENTS }, gateway: { port: 0, agents: AGENTS } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;
const call = async (path: string, init: RequestInit = {}): Promise<{ status: number; body: Json }> => {
  const response = await fetch(`${plane.url()}${path}`, init);
  return { status: response.status, body: (await response.json()) as Json };
};
const post = (path: string, body: Json, headers: Record<string, string> = {}) =>
  call(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const cli = (argv: readonly string[], input?: string) =>
  gatewayCli({ apiUrl: plane.url(), natsUrl: broker.url })(argv, input);
const ask = async (body: Json = {}) => {
  const { status, body: sent } = await post('/api/v1/messages', {
    to: 'builder-1',
    subject: 'Which cart?',
    body: 'Does the old cart change as well?',
    needsReply: true,
    ...body,
  });
  expect(status).toBe(202);
  return { messageId: String(sent['messageId']), seq: Number(sent['seq']) };
};
/** As the runner of the recipient reports. */
const deliver = async (agent: string, messageId: string): Promise<number> => {
  const data = { messageId, runnerId: 'r1', deliveredAt: plane.ports.clock.now() };
  await reportOf(plane.ports, agent, { name: 'mail-delivered', data });
  const { seq } = await mailUntil(
    plane.ports,
    agent,
    (event) => event.name === 'delivered' && event.data.messageId === messageId,
  );
  return seq;
};

describe('IM-18 over HTTP', () => {
  test('a message is there, whole, as soon as it was sent', async () => {
    const { messageId } = await ask();
    const { status, body } = await call(`/api/v1/messages/${messageId}`);
    expect([status, body]).toMatchObject([
      200,
      {
        messageId,
        from: 'user',
        to: 'builder-1',
        kind: 'mail',
        state: 'stored',
        body: 'Does the old cart change as well?',
        links: { reply: `/api/v1/messages/${messageId}/reply` },
      },
    ]);
  });

  test('the same key is the same message, and with other words it is refused', async () => {
    const key = { 'idempotency-key': `key-${newMessageId()}` };
    const body = { to: 'builder-1', body: 'once' };
    const first = await post('/api/v1/messages', body, key);
    const again = await post('/api/v1/messages', body, key);
    expect([first.body['repeated'], again.body['repeated']]).toEqual([false, true]);
    expect(again.body['messageId']).toBe(first.body['messageId']);
    expect(await post('/api/v1/messages', { ...body, body: 'twice' }, key)).toMatchObject({
      status: 409,
      body: { code: 'KEY_CONFLICTING_REQUEST' },
    });
  });

  test('lists are by recipient, writer, state and exchange, in pages', async () => {
    const sent = [];
    for (const n of [1, 2, 3]) sent.push(await ask({ to: 'builder-2', subject: `Nr ${n}` }));
    const last = sent.at(-1);
    await call(`/api/v1/messages/${last?.messageId}?afterSeq=${last?.seq}`);
    const page = await call('/api/v1/messages?to=builder-2&limit=2');
    const subjects = (body: Json) => (body['messages'] as Json[]).map(({ subject }) => subject);
    expect(subjects(page.body)).toEqual(['Nr 3', 'Nr 2']);
    const rest = await call(`/api/v1/messages?to=builder-2&limit=2&cursor=${String(page.body['next'])}`);
    expect([subjects(rest.body), rest.body['next']]).toEqual([['Nr 1'], null]);
    expect(subjects((await call('/api/v1/messages?to=builder-2&state=answered')).body)).toEqual([]);
    expect(subjects((await call('/api/v1/messages?from=builder-2')).body)).toEqual([]);
    const thread = String(sent[0]?.messageId);
    expect(subjects((await call(`/api/v1/messages?thread=${thread}`)).body)).toEqual(['Nr 1']);
  });

  test('a reply as the recipient closes what was owed', async () => {
    const { messageId } = await ask({ to: 'lead-1' });
    const path = '/api/v1/agents/lead-1/obligations';
    const owed = await call(`${path}?afterSeq=${await deliver('lead-1', messageId)}`);
    expect(owed.body).toMatchObject({ agent: 'lead-1', owed: [{ messageId, from: 'user' }], coming: [] });
    const reply = await post(`/api/v1/messages/${messageId}/reply`, { body: 'the new one', from: 'lead-1' });
    expect(reply).toMatchObject({ status: 202, body: { to: 'user', closed: true } });
    const after = Number(reply.body['seq']) + 1;
    expect((await call(`${path}?afterSeq=${after}`)).body).toMatchObject({ owed: [], coming: [] });
    expect((await call(`/api/v1/messages/${messageId}?afterSeq=${after}`)).body).toMatchObject({
      state: 'answered',
      replyId: reply.body['messageId'],
    });
  });

  test('IM-06 a nudge of an agent is one message within a moment', async () => {
    const first = await post('/api/v1/agents/builder-2/nudge', { body: 'go on' });
    const second = await post('/api/v1/agents/builder-2/nudge', { body: 'go on!' });
    expect([first.body['state'], second.body['state']]).toEqual(['sent', 'skipped']);
    expect(second.body['messageId']).toBe(first.body['messageId']);
  });

  test('the parent of a run is told, and a parent that nobody knows is refused', async () => {
    const refused = await post('/api/v1/runs', { prompt: 'x', parent: 'nobody' });
    expect(refused).toMatchObject({ status: 404, body: { code: 'RECIPIENT_UNKNOWN' } });
    const { body } = await post('/api/v1/runs', { prompt: 'x', parent: 'lead-1' });
    const runId = String(body['runId']);
    await post(`/api/v1/runs/${runId}/cancel`, { reason: 'enough' });
    const { event } = await mailUntil(
      plane.ports,
      'lead-1',
      (one) => one.name === 'sent' && one.data.runId === runId,
    );
    expect(event.data).toMatchObject({ kind: 'notice', from: 'builder-1' });
  });

  const MISTAKES: Readonly<Record<string, readonly [string, Json, number, string]>> = {
    'to nobody': ['/api/v1/messages', { to: 'bilder-1', body: 'x' }, 404, 'RECIPIENT_UNKNOWN'],
    'from nobody': ['/api/v1/messages', { to: 'builder-1', body: 'x', from: 'eve' }, 404, 'SENDER_UNKNOWN'],
    'without words': ['/api/v1/messages', { to: 'builder-1', body: ' ' }, 400, 'INPUT_INVALID'],
    'with an unknown field': [
      '/api/v1/messages',
      { to: 'builder-1', body: 'x', cc: 'y' },
      400,
      'INPUT_INVALID',
    ],
    'that is too long': [
      '/api/v1/messages',
      { to: 'builder-1', body: 'x'.repeat(70_000) },
      400,
      'INPUT_INVALID',
    ],
    'of another tenant': [
      '/api/v1/messages',
      { to: 'builder-1', body: 'x', tenant: 'other' },
      403,
      'BOUNDARY_DENIED',
    ],
    'in answer to nothing': [
      `/api/v1/messages/${newMessageId()}/reply`,
      { body: 'x' },
      404,
      'MESSAGE_UNKNOWN',
    ],
    'in answer to no id': ['/api/v1/messages/7/reply', { body: 'x' }, 404, 'MESSAGE_UNKNOWN'],
    'as a nudge of a person': ['/api/v1/agents/user/nudge', { body: 'x' }, 404, 'RECIPIENT_UNKNOWN'],
  };
  for (const [what, [path, body, status, code]] of Object.entries(MISTAKES))
    test(`a message ${what} is refused with ${code}`, async () => {
      expect(await post(path, body)).toMatchObject({ status, body: { code } });
    });

  test('a message that does not exist is unknown, and only its recipient answers one', async () => {
    expect(await call(`/api/v1/messages/${newMessageId()}`)).toMatchObject({
      status: 404,
      body: { code: 'MESSAGE_UNKNOWN' },
    });
    const { messageId } = await ask();
    await call(`/api/v1/messages/${messageId}`);
    expect(await post(`/api/v1/messages/${messageId}/reply`, { body: 'x', from: 'lead-1' })).toMatchObject({
      status: 403,
      body: { code: 'MESSAGE_FOREIGN' },
    });
  });

  test('somebody who was never asked owes nothing', async () => {
    expect((await call('/api/v1/agents/nobody-1/obligations')).body).toMatchObject({ owed: [], coming: [] });
  });
});

describe('fleetlog', () => {
  test('send, inbox, reply and obligations go together', async () => {
    const sent = await cli([
      'send',
      'builder-1',
      'which',
      'one?',
      '--needs-reply',
      '--subject',
      'Cart',
      '--json',
    ]);
    expect(sent.code, sent.out).toBe(0);
    const messageId = String(sent.json()['messageId']);
    const seen = await cli(['inbox', messageId]);
    expect(seen.out).toMatch(/from +user to builder-1.*subject +Cart.*which one\?/s);
    expect((await cli(['inbox', '--of', 'builder-1', '--limit', '1'])).out).toMatch(
      new RegExp(`${messageId}.*user.*builder-1.*mail.*stored.*reply.*Cart`),
    );
    const seq = await deliver('builder-1', messageId);
    await call(`/api/v1/agents/builder-1/obligations?afterSeq=${seq}`);
    expect((await cli(['obligations', 'builder-1'])).out).toContain(messageId);
    const reply = await cli(['reply', messageId, '--from', 'builder-1'], 'the new one\n');
    expect([reply.code, reply.out]).toEqual([0, expect.stringMatching(/^msg_\w+ sent to user$/)]);
    const again = await cli(['reply', messageId, 'and more', '--from', 'builder-1']);
    expect(again.out).toMatch(/sent to user; the message had its reply before$/);
  });

  test('nudge says whether it stands', async () => {
    expect((await cli(['nudge', 'lead-1', 'go on'])).out).toMatch(/^lead-1 nudged/);
    expect((await cli(['nudge', 'lead-1', 'go on'])).out).toMatch(/was nudged a moment ago/);
  });

  test('what is wrong is told with its code and what to do', async () => {
    const unknown = await cli(['send', 'bilder-1', 'x', '--json']);
    expect([unknown.code, unknown.json()]).toMatchObject([
      1,
      { error: { code: 'RECIPIENT_UNKNOWN', message: expect.stringContaining('did you mean builder-1') } },
    ]);
    const silent = await cli(['send', 'builder-1']);
    expect([silent.code, silent.note]).toEqual([2, expect.stringContaining('words are needed')]);
    const late = await cli(['send', 'builder-1', 'x', '--expires-in', 'soon']);
    expect([late.code, late.note]).toEqual([2, expect.stringContaining('such as 90s')]);
  });

  test('every command of mail teaches', async () => {
    for (const name of ['send', 'inbox', 'reply', 'nudge'])
      expect((await cli([name, '--help'])).out, name).toContain(`fleetlog ${name}`);
  });
});

test('while the mail service is away a message is refused as unanswered, to be tried again', async () => {
  await using lonely = await freshBroker();
  await provision(lonely);
  const settings = { gateway: { port: 0, requestTimeoutMs: 500 } };
  await using alone = await startControlPlane({ broker: lonely, services: [gateway], config: settings });
  const response = await fetch(`${alone.url()}/api/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to: 'builder-1', body: 'x' }),
  });
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await response.json()).toMatchObject({ code: 'REQUEST_UNANSWERED' });
});
