// The HTTP API on a real broker: asking for work, idempotency keys, reads that see their own write, lists, pages of events.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { API } from '#streams/http/api.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { typesOf } from '#test/support/run-facts.ts';
import { claimTurn, history, transition, turnInstruction } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, ['builder-1', 'builder-2']);
  plane = await startControlPlane({
    broker,
    services: [runs, sessions, gateway],
    config: { gateway: { port: 0, agents: ['builder-1', 'builder-2'] } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;
interface Created extends Json {
  readonly runId: string;
  readonly sessionId: string;
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
const create = async (body: Json = {}, headers: Record<string, string> = {}): Promise<Created> => {
  const answer = await post('/api/v1/runs', { prompt: 'say hello', ...body }, headers);
  expect(answer).toMatchObject({ status: 202 });
  return answer.body as Created;
};

describe('asking for a run', () => {
  test('answers with its ids, its place in the log and where to look', async () => {
    const { status, body, headers } = await post('/api/v1/runs', { prompt: 'say hello', title: 'Hello' });
    const runId = String(body['runId']);
    expect(status).toBe(202);
    expect(body).toMatchObject({
      runId: expect.stringMatching(/^run_/),
      sessionId: expect.stringMatching(/^ses_/),
      seq: expect.any(Number),
      repeated: false,
      links: { self: `/api/v1/runs/${runId}`, stream: `/api/v1/runs/${runId}/stream` },
    });
    expect(headers.get('location')).toBe(`/api/v1/runs/${runId}`);
    expect(headers.get('x-request-id')).toMatch(/^req_/);
    expect(await typesOf(plane.ports, runId)).toEqual(['created']);
  });

  test('WK-22 WK-28 passes on what counts as done, what to do with a lost conversation, and where to work', async () => {
    const checkout = { repository: 'app', branch: 'main' };
    const rules = { completion: 'signal', resumeMismatch: 're-prime', checkout };
    const [created] = await history(plane.ports, (await create(rules)).runId);
    expect(created).toMatchObject({ request: { prompt: 'say hello', ...rules } });
    for (const wrong of [
      { completion: 'soon' },
      { checkout: { branch: '--upload-pack=x' } },
      { prompt: ' ' },
    ])
      expect(await post('/api/v1/runs', { prompt: 'p', ...wrong })).toMatchObject({ status: 400 });
  });

  test('a read that names the sequence sees the write at once', async () => {
    for (let at = 0; at < 20; at += 1) {
      const { runId, seq } = await create();
      const { status, body } = await call(`/api/v1/runs/${runId}?afterSeq=${seq}`);
      expect({ status, body }).toMatchObject({
        status: 200,
        body: { runId, state: 'queued', activity: null },
      });
    }
  });

  test('a new id is found although the summary does not show it yet', async () => {
    for (let at = 0; at < 20; at += 1) {
      const { runId } = await create();
      expect((await call(`/api/v1/runs/${runId}`)).status).toBe(200);
    }
  });

  test('ER-04 an idempotency key gives the first answer again, also after the end, and refuses another payload', async () => {
    const key = { 'idempotency-key': 'order-4711' };
    const first = await create({ title: 'One' }, key);
    expect(await create({ title: 'One' }, key)).toEqual({ ...first, repeated: true });
    await post(`/api/v1/runs/${first.runId}/cancel`, {});
    await transition(plane.ports, first.runId, 'fleetlog.run.cancelled.v1');
    expect(await create({ title: 'One' }, key)).toEqual({ ...first, repeated: true });
    expect(await post('/api/v1/runs', { prompt: 'say hello', title: 'Two' }, key)).toMatchObject({
      status: 409,
      body: { code: 'KEY_CONFLICTING_REQUEST', kind: 'schema-invalid' },
    });
  });

  test('many requests with one key at once make one run', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => create({}, { 'idempotency-key': 'all-at-once' })),
    );
    expect(new Set(answers.map(({ runId, seq }) => `${runId} ${seq}`)).size).toBe(1);
    expect(answers.filter((answer) => answer['repeated'] === false)).toHaveLength(1);
  });

  test('ST-08 a run in a known session joins it; another agent or an unknown session is refused', async () => {
    const { sessionId } = await create();
    const second = await create({ session: sessionId });
    expect(second.sessionId).toBe(sessionId);
    const session = await call(`/api/v1/sessions/${sessionId}`);
    expect(session).toMatchObject({ status: 200, body: { agent: 'builder-1' } });
    expect(await post('/api/v1/runs', { prompt: 'x', session: sessionId, agent: 'builder-2' })).toMatchObject(
      { status: 403, body: { code: 'SESSION_FOREIGN', kind: 'tenant-policy-denied' } },
    );
    const unknown = sessionId.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    expect(await post('/api/v1/runs', { prompt: 'x', session: unknown })).toMatchObject({
      status: 404,
      body: { code: 'SESSION_UNKNOWN', kind: 'schema-invalid' },
    });
  });
});

test('the whole life of a run shows in its summary, its session and its record', async () => {
  const { runId, sessionId } = await create();
  const turn = await claimTurn(plane.ports, await turnInstruction(plane.ports, runId));
  await turn.started();
  await turn.says('working');
  await turn.finished();
  const { seq } = await transition(plane.ports, runId, 'fleetlog.run.completed.v1');
  expect((await call(`/api/v1/runs/${runId}?afterSeq=${seq}`)).body).toMatchObject({
    state: 'completed',
    attempt: 1,
    result: { outcome: 'done' },
    links: { session: `/api/v1/sessions/${sessionId}` },
  });
  const { body } = await call(`/api/v1/runs/${runId}/events`);
  const events = body['events'] as Json[];
  expect(events.map(({ type }) => type)).toEqual(
    expect.arrayContaining(['fleetlog.run.created.v1', 'fleetlog.turn.text.v1', 'fleetlog.run.completed.v1']),
  );
  expect(events).toHaveLength(body['hasMore'] === false ? events.length : -1);
  expect(events.find(({ type }) => type === 'fleetlog.turn.text.v1')).toMatchObject({
    stream: 'EVENTS',
    fence: 1,
    source: '/runner/builder-1',
    data: { text: 'working' },
  });
});

describe('pages', () => {
  test('ST-25 WK-48 of events at every size show each item once, and the cursor advances also when nothing is left', async () => {
    const { runId } = await create();
    // Another run of the same agent in between: its reports are stepped over.
    const other = await create();
    const turn = await claimTurn(plane.ports, await turnInstruction(plane.ports, runId));
    const noise = await claimTurn(plane.ports, await turnInstruction(plane.ports, other.runId));
    await turn.started();
    for (let at = 0; at < 9; at += 1) await (at % 2 === 0 ? turn : noise).says(`line ${at}`);
    await turn.finished();
    await transition(plane.ports, runId, 'fleetlog.run.completed.v1');
    const whole = await call(`/api/v1/runs/${runId}/events?limit=500`);
    const all = (whole.body['events'] as Json[]).map(({ id }) => id);
    expect(new Set(all).size).toBe(all.length);
    expect(all).toHaveLength(11);
    for (const limit of [1, 2, 3, 5]) {
      const seen: unknown[] = [];
      let after = 't0.e0';
      for (let isOver = false; !isOver;) {
        const { body } = await call(`/api/v1/runs/${runId}/events?after=${after}&limit=${limit}`);
        seen.push(...(body['events'] as Json[]).map(({ id }) => id));
        expect(body['next']).not.toBe(after);
        after = String(body['next']);
        isOver = body['hasMore'] === false;
      }
      expect(seen).toEqual(all);
    }
    const end = String(whole.body['next']);
    await noise.says('more');
    const beyond = await call(`/api/v1/runs/${runId}/events?after=${end}`);
    expect(beyond.body).toMatchObject({ events: [], hasMore: false });
    expect(beyond.body['next']).not.toBe(end);
  });

  test('WK-47 of runs show each run once, newest first, while new ones come', async () => {
    const made: string[] = [];
    for (let at = 0; at < 7; at += 1) {
      const { runId, seq } = await create({ agent: 'builder-2' });
      // Lists show what the summaries show: each is waited for.
      await call(`/api/v1/runs/${runId}?afterSeq=${seq}`);
      made.push(runId);
    }
    const seen: string[] = [];
    let cursor = '';
    for (;;) {
      const { body } = await call(`/api/v1/runs?agent=builder-2&limit=3${cursor}`);
      seen.push(...(body['runs'] as Created[]).map(({ runId }) => runId));
      if (body['next'] === null) break;
      cursor = `&cursor=${body['next'] as string}`;
      await create({ agent: 'builder-2' });
    }
    expect(seen).toEqual(expect.arrayContaining(made));
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.indexOf(made[6] ?? '')).toBeLessThan(seen.indexOf(made[0] ?? ''));
  });

  test('of events after a cursor that the streams have not reached are refused, as a stream is', async () => {
    const { runId } = await create();
    for (const cursor of ['t999999.e0', 't0.e999999'])
      expect(await call(`/api/v1/runs/${runId}/events?after=${cursor}`)).toMatchObject({
        status: 400,
        body: { code: 'CURSOR_INVALID', detail: expect.stringContaining('start again without it') },
      });
  });

  test('filters of the list are by state and session', async () => {
    const { runId, sessionId, seq } = await create();
    await call(`/api/v1/runs/${runId}?afterSeq=${seq}`);
    const list = async (query: string) =>
      ((await call(`/api/v1/runs?session=${sessionId}${query}`)).body['runs'] as Created[]).map(
        (run) => run.runId,
      );
    expect(await list('')).toEqual([runId]);
    expect(await list('&state=queued,running')).toEqual([runId]);
    expect(await list('&state=completed')).toEqual([]);
  });

  test('sessions and runners can be listed', async () => {
    const { sessionId } = await create();
    await call(`/api/v1/sessions/${sessionId}`);
    const { body } = await call('/api/v1/sessions?limit=100');
    expect((body['sessions'] as Created[]).map((session) => session.sessionId)).toContain(sessionId);
    expect((await call('/api/v1/runners')).body).toEqual({ agents: ['builder-1', 'builder-2'], runners: [] });
  });
});

test('the description of the API is the committed one, and every operation of it is served', async () => {
  const response = await fetch(`${plane.url()}/api/v1/openapi.json`);
  expect(response.status).toBe(200);
  const text = await response.text();
  expect(text).toBe(await readFile('streams/openapi.json', 'utf8'));
  const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, { operationId: string }>> };
  const described = Object.values(paths).flatMap((methods) => Object.values(methods));
  expect(described.map(({ operationId }) => operationId).sort()).toEqual(Object.keys(API).sort());
  for (const [path, methods] of Object.entries(paths)) {
    // A method that no path takes names those that it does.
    const { status, headers } = await call(path.replaceAll(/\{\w+\}/g, 'some'), { method: 'PATCH' });
    expect([path, status]).toEqual([path, 405]);
    const told = Object.keys(methods).map((method) => method.toUpperCase());
    // What may be got may be asked for without its body.
    const allowed = told.includes('GET') ? [...told, 'HEAD'] : told;
    expect([path, headers.get('allow')?.split(', ').sort()]).toEqual([path, allowed.sort()]);
  }
});

describe('cancel', () => {
  test('answers with the state that it led to', async () => {
    const { runId } = await create();
    expect(await post(`/api/v1/runs/${runId}/cancel`, { reason: 'enough' })).toMatchObject({
      status: 202,
      body: { runId, state: 'cancelled' },
    });
  });
});

test('a gateway whose owner of runs is away says so and asks to try again', async () => {
  await using alone = await startControlPlane({
    broker: await freshBrokerWithoutRuns(),
    services: [gateway],
    config: { gateway: { port: 0, requestTimeoutMs: 200 } },
  });
  const response = await fetch(`${alone.url()}/api/v1/runs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'x' }),
  });
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('1');
  expect(await response.json()).toMatchObject({ code: 'REQUEST_UNANSWERED', kind: 'infra-failed' });
});

let lonely: FreshBroker | undefined;
const freshBrokerWithoutRuns = async (): Promise<FreshBroker> => {
  lonely = await freshBroker();
  await provision(lonely);
  return lonely;
};
afterAll(() => lonely?.[Symbol.asyncDispose]());
